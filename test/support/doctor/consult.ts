/** Asks the doctor, and looks at what it says. */
import type { Diagnosis, DoctorOptions } from "../../../src/admin/doctor.ts";
import { diagnose } from "../../../src/admin/doctor.ts";
import type { Check, Finding } from "../../../src/admin/doctor/finding.ts";
import { Inspector } from "../../../src/admin/inspector.ts";
import { Bus } from "../../../src/broker/bus.ts";
import { Connection } from "../../../src/broker/connection.ts";
import type { ActorSystem } from "../../../src/index.ts";
import { Names } from "../../../src/message/subjects.ts";

export function consult(system: ActorSystem, options?: DoctorOptions): Promise<Diagnosis> {
  return new Inspector(system).doctor(options);
}

/** As `godwit doctor` does, which needs no system. */
export async function consultAs(
  { servers, namespace, ...auth }: { servers: string; namespace: string; user?: string; pass?: string },
  options?: DoctorOptions,
): Promise<Diagnosis> {
  const connection = await Connection.open({ servers: [servers], name: "doctor test", auth, unchecked: true });
  try {
    return await diagnose({ names: new Names(namespace), connection, bus: new Bus(connection) }, options);
  } finally {
    await connection.close();
  }
}

/** What a check says. */
export function said({ findings }: Diagnosis, check: Check): Finding[] {
  return findings.filter((finding) => finding.check === check);
}

/** What is wrong: `<level> <check> <subject>`. */
export function wrong({ findings }: Diagnosis): string[] {
  return findings
    .filter(({ level }) => level === "fault" || level === "warning")
    .map(({ level, check, subject }) => `${level} ${check} ${subject}`);
}
