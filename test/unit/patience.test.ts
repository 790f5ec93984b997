/** Which refusals of a cluster pass by themselves. */
import { JetStreamApiError } from "@nats-io/jetstream";
import { expect, test } from "vitest";
import { patiently } from "../../src/broker/patience.ts";

/** Refuses twice, then answers. */
function refusingTwice(code: number, description: string): () => Promise<string> {
  let left = 2;
  return async () => {
    if (left-- > 0) throw new JetStreamApiError({ code: 400, err_code: code, description });
    return "answered";
  };
}

test.each([
  ["no leader of the cluster", 10008, "JetStream system temporarily unavailable"],
  ["no leader of the stream", 10009, "JetStream cluster can not handle request"],
  ["a server that joins", 10005, "no suitable peers for placement, peer offline"],
])("asks again: %s", async (_what, code, description) => {
  expect(await patiently("stream S", refusingTwice(code, description))).toBe("answered");
});

test.each([
  ["no server has the tag", 10005, "no suitable peers for placement, tags not matched ['disk:none']"],
  ["there is no such stream", 10059, "stream not found"],
])("is told at once: %s", async (_what, code, description) => {
  await expect(patiently("stream S", refusingTwice(code, description))).rejects.toThrow(description);
});

test("gives up with one sentence", async () => {
  const never = (): Promise<never> =>
    Promise.reject(
      new JetStreamApiError({ code: 503, err_code: 10008, description: "JetStream system temporarily unavailable" }),
    );
  await expect(patiently("stream S", never, 300)).rejects.toMatchObject({
    code: "NO_SERVER",
    message: expect.stringMatching(
      /no leader, or too few servers, for 0\.3 s to answer about the stream S .*; start the servers/,
    ),
  });
});
