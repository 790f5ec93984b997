/** Certificates for tests, made by openssl: a CA, a server of this host, a client, and a CA that nobody knows. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { run } from "../tools.ts";

export interface Certificates {
  readonly folder: string;
  readonly ca: string;
  readonly otherCa: string;
  readonly server: { cert: string; key: string };
  readonly client: { cert: string; key: string };
  remove(): Promise<void>;
}

const days = ["-days", "2"];
const newKey = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];

export async function makeCertificates(): Promise<Certificates> {
  const folder = await mkdtemp(join(tmpdir(), "godwit-certificates-"));
  const openssl = (...args: string[]): Promise<unknown> => run("openssl", args, { cwd: folder });
  const pair = (name: string): { cert: string; key: string } => ({
    cert: join(folder, `${name}.crt`),
    key: join(folder, `${name}.key`),
  });
  const authority = async (name: string): Promise<string> => {
    const { cert, key } = pair(name);
    await openssl("req", "-x509", ...newKey, "-keyout", key, "-out", cert, "-subj", `/CN=godwit test ${name}`, ...days);
    return cert;
  };
  const [ca, otherCa] = await Promise.all([authority("ca"), authority("other")]);
  await writeFile(join(folder, "names"), "subjectAltName=DNS:localhost,IP:127.0.0.1\n");
  const signed = async (name: string): Promise<{ cert: string; key: string }> => {
    const { cert, key } = pair(name);
    const request = join(folder, `${name}.csr`);
    await openssl("req", "-new", ...newKey, "-keyout", key, "-out", request, "-subj", `/CN=godwit test ${name}`);
    const by = ["-CA", ca, "-CAkey", pair("ca").key, "-CAcreateserial", "-CAserial", join(folder, `${name}.srl`)];
    await openssl("x509", "-req", "-in", request, ...by, "-out", cert, "-extfile", "names", ...days);
    return { cert, key };
  };
  const [server, client] = await Promise.all([signed("server"), signed("client")]);
  return { folder, ca, otherCa, server, client, remove: () => rm(folder, { recursive: true, force: true }) };
}
