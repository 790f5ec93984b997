/**
 * The import rule: who may import whom. `npm run check:imports` enforces the three tables below.
 * 1. Imports point up the list of folders only, `import type` included, and never form a cycle.
 * 2. A fenced package is imported in its own folders only.
 * 3. actors/, schemas/ and demo/ see the public API, by its package name, and of ours nothing else but one another.
 */

// dependency-cruiser reads TypeScript through this parser, and without it would silently read no file at all.
import swc from "@swc/core";

// It does not tell the parser which files hold JSX, and would end at the first tag.
const { parseFileSync } = swc;
swc.parseFileSync = (file, options) => parseFileSync(file, { ...options, tsx: file.endsWith(".tsx") });

const base = ["kernel", "message", "broker", "actor", "producer"];
const features = ["lifecycle", "guard", "result"];
const core = [...base, ...features, "worker"];
const whole = [...core, "observe", "system"];

/** Each folder of src/, and the other folders of src/ that it may import. A new folder gets a row here first. */
const mayImport = {
  kernel: [],
  message: ["kernel"],
  broker: ["kernel", "message"],
  actor: ["kernel", "message"],
  producer: ["kernel", "message", "broker", "actor"],
  lifecycle: base,
  guard: base,
  result: base,
  worker: [...base, ...features],
  observe: core,
  system: [...core, "observe"],
  fleet: whole,
  admin: [...whole, "fleet"],
  cli: [...whole, "fleet", "admin"],
  dashboard: ["admin"],
  testing: whole,
};

/** What the public API, src/index.ts, may not show. Nothing in src/ imports src/index.ts. */
const notPublic = ["admin", "cli", "dashboard", "testing"];

/** Packages that only these folders of src/ may import. `@nats-io` stands for every package of that scope. */
const fences = {
  "@nats-io": ["broker"],
  opossum: ["guard"],
  piscina: ["guard"],
  xstate: ["lifecycle"],
  msgpackr: ["message"],
  pino: ["observe"],
  "prom-client": ["observe"],
  "@opentelemetry": ["observe"],
  hono: ["observe", "admin"],
  "@hono": ["observe", "admin"],
  preact: ["dashboard"],
  uplot: ["dashboard"],
  commander: ["cli"],
};

/** What the folders beside src/ may import of this repository. The public API is `godwit`, which resolves into dist/. */
const publicApi = String.raw`^godwit$|^dist/src/index\.`;
const besideSrc = {
  actors: `^(actors|schemas)/|${publicApi}`,
  schemas: `^schemas/|${publicApi}`,
  demo: `^(actors|schemas|demo)/|${publicApi}`,
};

const folders = Object.keys(mayImport);
const anyOf = (names) => `(${names.join("|")})`;
const packages = (name) => `(^|/)node_modules/(@types/)?${name}/|^${name}(/|$)`;
const anyPackage = "(^|/)node_modules/";

const forbidden = [
  ...folders.map((folder) => ({
    name: `${folder}-imports-up-only`,
    comment: `src/${folder}/ may import of src/: ${mayImport[folder].join(", ") || "nothing"}.`,
    from: { path: `^src/${folder}/` },
    to: { path: "^src/", pathNot: `^src/${anyOf([folder, ...mayImport[folder]])}/` },
  })),
  {
    name: "public-api-is-public",
    comment: `src/index.ts shows nothing of ${notPublic.join(", ")}.`,
    from: { path: String.raw`^src/index\.ts$` },
    to: { path: `^src/${anyOf(notPublic)}/` },
  },
  {
    name: "src-imports-src",
    comment: "src/ imports src/ and packages: neither the folders beside it nor itself by the name godwit.",
    from: { path: "^src/" },
    to: { path: "^(actors|demo|deploy|dist|docs|schemas|test)/|^godwit(/|$)" },
  },
  {
    name: "folder-has-a-row",
    comment: "src/ holds index.ts and the folders of the table in import-rule.config.js.",
    from: { path: "^src/", pathNot: String.raw`^src/(${folders.join("|")})/|^src/index\.ts$` },
    to: {},
  },
  ...Object.entries(fences).map(([name, inside]) => ({
    name: `fence-${name.replace("@", "")}`,
    comment: `${name} is imported in ${inside.map((folder) => `src/${folder}/`).join(" and ")} only.`,
    from: { path: "^(src|actors|schemas|demo)/", pathNot: `^src/${anyOf(inside)}/` },
    to: { path: packages(name) },
  })),
  ...Object.entries(besideSrc).map(([folder, allowed]) => ({
    name: `${folder}-import-the-public-api`,
    comment: `${folder}/ imports godwit by its name, node:*, packages, and the folders of its row in import-rule.config.js.`,
    from: { path: `^${folder}/` },
    to: { pathNot: `${allowed}|${anyPackage}`, dependencyTypesNot: ["core"] },
  })),
  {
    name: "dist-by-its-name",
    comment: "What was built into dist/ is imported as godwit, so that there is one copy of each class.",
    from: {},
    to: { path: "^dist/", dependencyTypes: ["local"] },
  },
  {
    name: "dashboard-knows-the-api-only",
    comment: "src/dashboard/ runs in a browser: of src/admin/ it imports api.ts, which holds nothing but types.",
    from: { path: "^src/dashboard/" },
    to: { path: "^src/admin/(?!api[.])" },
  },
  {
    name: "declared-dependency",
    comment:
      "A package that src/ imports stands in the dependencies of package.json, its types too; the dashboard's are built in.",
    from: { path: "^src/", pathNot: "^src/dashboard/" },
    to: { dependencyTypes: ["npm-dev", "npm-no-pkg", "npm-unknown"] },
  },
  {
    name: "no-cycle",
    comment: "No cycles, not even of types.",
    from: {},
    to: { circular: true },
  },
];

export default {
  forbidden: forbidden.map((rule) => ({ severity: "error", ...rule })),
  options: {
    parser: "swc",
    tsPreCompilationDeps: true,
    doNotFollow: { path: "(^|/)(node_modules|dist)/" },
    enhancedResolveOptions: {
      exportsFields: ["exports"],
      conditionNames: ["import", "node", "default", "types"],
    },
  },
};
