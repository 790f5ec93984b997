/** The dashboard in a real browser, over a real server, a worker process and `godwit dashboard`. The tests follow one another on one page. */
import type { Browser, Locator, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  complaintsOf,
  chromiumPath,
  howToInstall,
  launchChromium,
  mayLackTools,
} from "../support/dashboard/chromium.ts";
import { House } from "../support/dashboard/house.ts";
import { listDead } from "../support/dead.ts";
import type { Running } from "../support/cli/run.ts";
import { until } from "../support/embedded/until.ts";
import { patient } from "../support/stage.ts";

const skipped = chromiumPath === undefined && mayLackTools;
if (skipped) console.warn(`test/integration/dashboard.test.ts: ${howToInstall}.`);

/** What a view says once it is complete. */
const shownIn: Record<string, string> = {
  actors: "mails.send",
  failures: "was refused",
  dead: "was refused",
  guards: "Calls pass.",
  workers: "healthy",
  explain: "It is scheduled for",
};

describe.skipIf(skipped)("the dashboard", () => {
  let house: House;
  let browser: Browser;
  let server: { process: Running; url: string };
  let page: Page;
  let complaints: string[];

  beforeAll(async () => {
    [house, browser] = await Promise.all([House.open(), launchChromium()]);
    server = await house.dashboard("--port", "0", "--show-bodies");
    page = await browser.newPage({ viewport: { width: 1440, height: 900 }, colorScheme: "light" });
    page.setDefaultTimeout(patient.timeout);
    complaints = complaintsOf(page);
  });
  afterAll(async () => {
    await browser.close();
    await house.close();
  });

  const open = async (view: string): Promise<void> => void (await page.goto(`${server.url}/#/${view}`));
  const row = (actor: string): Locator => page.getByRole("row").filter({ hasText: actor });
  const cell = (actor: string, label: string): Locator => row(actor).locator(`[data-label="${label}"] .figure`);
  const heading = (name: string): Locator => page.getByRole("heading", { name, level: 1 });
  const total = (name: string): Locator => page.locator(".totals div").filter({ hasText: name }).locator("dd");
  const toldWhen = (text: string | RegExp): Promise<void> => page.getByRole("status").getByText(text).waitFor();
  const expectShown = (locator: Locator) => expect.poll(() => locator.first().isVisible(), patient).toBe(true);
  const expectText = (locator: Locator, text: string | RegExp) =>
    expect.poll(() => locator.textContent(), patient).toMatch(text);

  test("loads, and its figures and plots move", async () => {
    await open("actors");
    await page.getByText("live", { exact: true }).waitFor();
    await expectText(cell("mails.send", "Rate"), /^0\/s$/);
    expect(await row("mails.send").locator("canvas").count()).toBe(0);
    const plotted = (): Promise<string> =>
      page.evaluate("document.querySelector('tr:has(a[href$=\"mails.send\"]) canvas').toDataURL()");
    await house.system.tellMany(
      "mails.send",
      Array.from({ length: 500 }, (_, n) => ({ n })),
    );
    await expectText(cell("mails.send", "Rate"), /^[1-9]/);
    await expectText(cell("mails.send", "P95"), /ms$/);
    await expectText(total("rate"), /^[1-9]/);
    await row("mails.send").locator("canvas").first().waitFor();
    const before = await plotted();
    await expect.poll(plotted, patient).not.toBe(before);
    expect(await page.title()).toBe("Actors · Godwit");
  });

  test("groups failures, and shows a dead letter whole", async () => {
    const orders = Array.from({ length: 50 }, (_, n) => ({ order: n }));
    await house.system.tellMany("orders.charge", orders, { id: ({ order }) => `order-${order}` });
    await expectText(total("dead"), /^50$/);
    await open("failures");
    const group = row("Terminal").filter({ hasText: "was refused" });
    await expectText(group.locator('[data-label="Count"]'), /^50/);
    await group.getByRole("link").click();
    await heading("Dead letters").waitFor();
    await expect.poll(() => page.getByRole("checkbox").count(), patient).toBe(50);
    await page.getByRole("checkbox").nth(1).click();
    await page
      .getByRole("checkbox")
      .nth(4)
      .click({ modifiers: ["Shift"] });
    await expectShown(page.getByText("4 selected"));
    await page.getByRole("button", { name: "Clear" }).click();
    await row("order-7").first().getByRole("link").click();
    const pane = page.getByRole("complementary");
    await pane.getByText("Stack and causes").waitFor();
    const text = (await pane.textContent()) ?? "";
    expect(text).toContain("order 7 was refused");
    expect(text).toContain("the till is shut");
    expect(text).toMatch(/"order": ?7/);
    expect(page.url()).toContain("#/dead/");
  });

  test("requeues fifty after asking, and they complete", async () => {
    await house.mend();
    await page.keyboard.press("Escape");
    await page.getByRole("button", { name: "Select all that match" }).click();
    await page.getByText("50 selected").waitFor();
    await page.getByRole("group", { name: "The selection" }).getByRole("button", { name: "Requeue" }).click();
    await page.getByRole("heading", { name: "Requeue 50 dead letters?" }).waitFor();
    await page.getByRole("button", { name: "Requeue 50 dead letters" }).click();
    await toldWhen("Requeued 50 dead letters.");
    await page.getByText("No dead letter fits these filters.").waitFor();
    await expectText(total("dead"), /^0$/);
    await expectText(total("depth"), /^0$/);
    await expectText(total("in flight"), /^0$/);
    expect(await listDead(house.system)).toEqual([]);
  });

  test("pauses and resumes an actor", async () => {
    await open("actors/mails.send");
    await page.getByLabel("Pause mails.send: for how long").selectOption("15m");
    await page.getByRole("button", { name: "Pause" }).click();
    await page.getByText(/^Paused until .*, for another 1[45] min\.$/).waitFor();
    await house.system.tell("mails.send", { n: 0 }, { lane: "high" });
    await expectText(page.locator(".facts div").filter({ hasText: /^high/ }).locator("dd"), /^1$/);
    await page.getByRole("button", { name: "Resume" }).click();
    await page.getByText("Delivering.").waitFor();
    await expectText(page.locator(".facts div").filter({ hasText: /^high/ }).locator("dd"), /^0$/);
  });

  test("opens and closes a breaker", async () => {
    await open("guards");
    const card = page.getByRole("article", { name: "Breaker partner" });
    await card.getByRole("button", { name: "Open" }).click();
    await expectShown(card.getByText("Opened by hand"));
    await open("actors");
    await expectShown(row("partners.call").getByText("breaker open"));
    await open("guards");
    await card.getByRole("button", { name: "Close" }).click();
    await expectShown(card.getByText("Calls pass."));
  });

  test("holds and releases a rate limit", async () => {
    const card = page.getByRole("article", { name: "Rate limit ration" });
    await card.getByText("10 per 1 s").waitFor();
    await card.getByRole("button", { name: "Hold" }).click();
    await expectShown(card.getByText(/^Nobody starts until .*, for another [45] min\.$/));
    await open("actors");
    await expectShown(row("reports.build").getByText("limited"));
    await open("guards");
    await card.getByRole("button", { name: "Release" }).click();
    await expectShown(card.getByRole("button", { name: "Hold" }));
  });

  test("is used with the keyboard only", async () => {
    await house.system.tell("orders.charge", { order: 99, bad: true }, { id: "order-99" });
    const { keyboard } = page;
    const press = async (...keys: string[]): Promise<void> => {
      for (const key of keys) await keyboard.press(key);
    };
    const focused = (): Promise<string> => page.evaluate("document.activeElement?.textContent ?? ''");
    await press("g", "a");
    await heading("Actors").waitFor();
    await press("/");
    await keyboard.type("part");
    await expect.poll(() => page.getByRole("row").count(), patient).toBe(2);
    await press("Escape", "j");
    expect(await focused()).toBe("partners.call");
    await press("Enter");
    await heading("partners.call").waitFor();
    await press("Escape");
    await heading("Actors").waitFor();
    await press("?");
    await page.getByRole("dialog", { name: "Keys" }).waitFor();
    await press("Escape");
    await page.getByRole("dialog").waitFor({ state: "detached" });
    await press("g", "d");
    await row("order-99").waitFor();
    await press("j", "x");
    await page.getByText("1 selected").waitFor();
    await press("#");
    await page.getByRole("heading", { name: "Delete 1 dead letter?" }).waitFor();
    expect(await focused()).toBe("Cancel");
    await press("Tab");
    expect(await focused()).toBe("Delete 1 dead letter for good");
    await press("Enter");
    await toldWhen("Deleted 1 dead letter.");
    await page.getByText("No dead letters. Nothing was given up on.").waitFor();
  });

  test("explains what has become of a message", async () => {
    await house.system.tell("mails.send", { n: 1 }, { id: "late-mail", delay: "1h" });
    await open("explain");
    await page.getByRole("textbox").fill("late-mail");
    await page.keyboard.press("Enter");
    await expectShown(page.getByText(/^It is scheduled for .*, in (59|60) min\.$/));
  });

  test("tells of the workers", async () => {
    await open("workers");
    await row("healthy").first().waitFor();
    await expectText(row("healthy").locator('[data-label="Memory"]'), /MB$/);
  });

  test("fits a phone", async () => {
    await page.setViewportSize({ width: 390, height: 844 });
    await house.system.tell("orders.charge", { order: 1, bad: true }, { id: `long-${"x".repeat(100)}` });
    const { sequence } = await until("there is a dead letter", async () => (await listDead(house.system))[0]);
    const tooWide: string[] = [];
    const views = ["actors", "actors/mails.send", "failures", "dead", `dead/${sequence}`, "guards", "workers"];
    for (const view of [...views, "explain?id=late-mail"]) {
      await open(view);
      const said = shownIn[view.replace(/[/?].*/, "")] ?? "";
      await page.getByRole("main").getByText(said).filter({ visible: true }).first().waitFor();
      const [wide, room] = await page.evaluate<[number, number]>("[document.documentElement.scrollWidth, innerWidth]");
      if (wide > room) tooWide.push(view);
    }
    expect(tooWide).toEqual([]);
    await page.setViewportSize({ width: 1440, height: 900 });
  });

  test("is dark where the system is, and remembers what was chosen", async () => {
    const ground = (): Promise<string> => page.evaluate("getComputedStyle(document.documentElement).backgroundColor");
    await open("actors");
    const light = await ground();
    await page.emulateMedia({ colorScheme: "dark" });
    await expect.poll(ground, patient).not.toBe(light);
    await page.getByRole("button", { name: "Light mode" }).click();
    await expect.poll(ground, patient).toBe(light);
    await page.reload();
    await page.getByRole("button", { name: "Dark mode" }).waitFor();
    expect(await ground()).toBe(light);
  });

  test("has complained of nothing so far", () => {
    expect(complaints).toEqual([]);
  });

  test("says when it is cut off, and goes on by itself", async () => {
    await page.getByText("live", { exact: true }).waitFor();
    server.process.signal("SIGKILL");
    await expectShown(page.getByText(/^Cut off from the dashboard's server\. These figures are \d.* old\./));
    await house.dashboard("--port", new URL(server.url).port);
    await page.getByText("live", { exact: true }).waitFor();
    await page.getByText("Cut off").waitFor({ state: "detached" });
  });

  test("hides bodies and changes nothing where it may not", async () => {
    const { url } = await house.dashboard("--port", "0", "--read-only");
    const other = await browser.newPage();
    const problems = complaintsOf(other);
    await other.goto(`${url}/#/dead`);
    await other.getByRole("link", { name: /order 1 was refused/ }).click();
    await other.getByText("Headers and body are hidden.").waitFor();
    expect(await other.getByText("read-only").count()).toBe(1);
    expect(await other.getByRole("button", { name: /requeue|delete|select/i }).count()).toBe(0);
    expect(problems).toEqual([]);
  });
});
