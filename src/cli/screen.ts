/** Screen: the whole of a terminal, redrawn in place, and given back as it was. */

export interface ScreenListeners {
  /** A key as the terminal sends it; Ctrl-C too. */
  onKey: (key: string) => void;
  onResize: () => void;
  /** Somebody else asks the process to end. */
  onSignal: (signal: NodeJS.Signals) => void;
}

const escape = "\u001b[";
/** Another screen, so that what stood there comes back; no cursor. */
const enter = `${escape}?1049h${escape}?25l`;
const leave = `${escape}?25h${escape}?1049l`;
const home = `${escape}H`;
const clearLine = `${escape}K`;
const clearBelow = `${escape}J`;
const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

export class Screen {
  #endings: (() => void)[] = [];

  get columns(): number {
    return process.stdout.columns || 80;
  }

  get rows(): number {
    return process.stdout.rows || 24;
  }

  start({ onKey, onResize, onSignal }: ScreenListeners): void {
    const { stdin, stdout } = process;
    stdout.write(enter);
    stdout.on("resize", onResize);
    this.#endings.push(() => stdout.off("resize", onResize));
    for (const signal of signals) {
      process.on(signal, onSignal);
      this.#endings.push(() => process.off(signal, onSignal));
    }
    if (!stdin.isTTY) return;
    const keys = (chunk: Buffer): void => {
      const text = chunk.toString();
      // What begins with an escape is one key, such as an arrow.
      if (text.startsWith("\u001b")) onKey(text);
      else for (const key of text) onKey(key);
    };
    stdin.setRawMode(true);
    stdin.resume();
    stdin.on("data", keys);
    this.#endings.push(() => {
      stdin.off("data", keys);
      stdin.setRawMode(false);
      stdin.pause();
    });
  }

  /** Lines that fit; it does not cut them. */
  draw(text: string): void {
    process.stdout.write(home + text.replaceAll("\n", `${clearLine}\n`) + clearLine + clearBelow);
  }

  stop(): void {
    for (const end of this.#endings) end();
    this.#endings = [];
    process.stdout.write(leave);
  }
}
