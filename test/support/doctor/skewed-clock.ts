/** Loaded before a program (`node --import`): its wall clock is ahead of the host's by SKEW_MS. */
const skewMs = Number(process.env["SKEW_MS"]);
const now = Date.now.bind(Date);
const HostDate = Date;

globalThis.Date = new Proxy(HostDate, {
  construct: (target, args: [], newTarget) => {
    const given = args.length === 0 ? [new HostDate(now() + skewMs).getTime()] : args;
    return Reflect.construct(target, given, newTarget) as object;
  },
});
HostDate.now = () => now() + skewMs;
