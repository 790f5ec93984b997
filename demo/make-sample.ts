/**
 * Makes the sample log: `node dist/demo/make-sample.js > demo/sample-access-log.txt`. The same bytes every time.
 * Everything in it is made up; addresses are from the ranges that are reserved for documentation.
 */

const lineCount = 2_000;
const startMs = Date.UTC(2026, 2, 2, 6, 0, 0);

const pages = ["/", "/products", "/products/kettle", "/products/teapot", "/cart", "/checkout", "/about", "/blog/tides"];
const assets = ["/css/shop.css", "/js/shop.js", "/img/logo.svg", "/img/teapot.jpg", "/favicon.ico", "/robots.txt"];
const agents = [
  "Mozilla/5.0 (X11; Linux x86_64; rv:136.0) Gecko/20100101 Firefox/136.0",
  "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/134.0.0.0 Safari/537.36",
  "Mozilla/5.0 (iPhone; CPU iPhone OS 18_3 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.3 Mobile Safari/604.1",
  String.raw`ExampleBot/2.1 (\"polite\"; +https://bot.example/)`,
  "curl/8.12.1",
  // Sent in Latin-1 by a client that knows no UTF-8: one byte of the log is no valid UTF-8.
  "Café/1.0",
  "-",
];
const referers = ["-", "-", "https://shop.example/", "https://search.example/?q=teapot", "https://blog.example/tides"];

/** Lines that are almost in the combined format. */
const broken: ((line: string) => string)[] = [
  // Cut short, as when a disk was full.
  (line) => line.slice(0, Math.floor(line.length * 0.6)),
  // The common format: no referer, no user agent.
  (line) => line.replace(/ "[^"]*" "(?:[^"\\]|\\.)*"$/, ""),
  // A virtual host in front.
  (line) => `shop.example:443 ${line}`,
  // An error log's line that strayed.
  () =>
    "[Mon Mar 02 06:12:31.402113 2026] [core:error] [pid 4711] AH00124: Request exceeded the limit of 10 internal redirects",
  () => "",
  // The last quote is missing.
  (line) => line.slice(0, -1),
];

/** Small, and the same on every machine. @returns a function that gives a whole number from 0 to below `n`. */
function randomFrom(seed: number): (n: number) => number {
  let state = seed;
  return (n) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * n);
  };
}

function apacheTime(ms: number): string {
  const [, day, month, year, time] = /^\w+, (\d+) (\w+) (\d+) (\S+)/.exec(new Date(ms).toUTCString()) ?? [];
  return `${day}/${month}/${year}:${time} +0000`;
}

function sampleLog(): Buffer {
  const random = randomFrom(20_260_302);
  const pick = <T>(from: readonly T[]): T => from[random(from.length)] as T;
  const skewed = (n: number): number => Math.min(random(n), random(n), random(n));
  const host = (): string => {
    const n = skewed(160);
    if (n % 8 === 7) return `2001:db8::${(n * 257).toString(16)}`;
    return `${["192.0.2", "198.51.100", "203.0.113"][n % 3]}.${n + 10}`;
  };
  const request = (): [request: string, status: number, bytes: string] => {
    const kind = random(100);
    if (kind < 2) return ["-", 408, "-"];
    if (kind < 3) return [String.raw`\x16\x03\x01\x02`, 400, "226"];
    if (kind < 4) return [`GET ${pick(pages)}`, 200, "1024"];
    if (kind < 6) return [`${pick(["PROPFIND", "OPTIONS", "PURGE"])} ${pick(pages)} HTTP/1.1`, 405, "312"];
    if (kind < 8) return [String.raw`GET /search?q=\"green tea\" HTTP/1.1`, 200, String(2_000 + random(500))];
    if (kind < 16) return [`GET /search?q=tea&page=${random(9)} HTTP/1.1`, 200, String(4_000 + random(4_000))];
    if (kind < 22) return [`POST ${pick(["/cart", "/checkout"])} HTTP/1.1`, pick([201, 302, 302, 422, 500]), "87"];
    if (kind < 27) return [`GET /wp-login.php?u=${random(40)} HTTP/1.1`, 404, "209"];
    if (kind < 40) return [`GET ${pick(assets)} HTTP/2.0`, 304, "-"];
    if (kind < 70) return [`GET ${assets[skewed(assets.length)]} HTTP/2.0`, 200, String(900 + random(60_000))];
    return [
      `GET ${pages[skewed(pages.length)]}${pick(["", "", "?ref=mail", "?utm_source=ad"])} HTTP/1.1`,
      200,
      String(5_000 + random(9_000)),
    ];
  };
  let ms = startMs;
  const lines = Array.from({ length: lineCount }, (_, n) => {
    ms += random(9_000);
    const [text, status, bytes] = request();
    const user = random(50) === 0 ? "ada" : "-";
    const line = `${host()} - ${user} [${apacheTime(ms)}] "${text}" ${status} ${bytes} "${pick(referers)}" "${pick(agents)}"`;
    const mended =
      n % 53 === 52 ? (broken[Math.floor(n / 53) % broken.length] as (line: string) => string)(line) : line;
    return n % 97 === 96 ? `${mended}\r\n` : `${mended}\n`;
  });
  return Buffer.from(lines.join(""), "latin1");
}

process.stdout.write(sampleLog());
