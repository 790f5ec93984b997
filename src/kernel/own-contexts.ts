/**
 * Own contexts: each piece of a user's code runs in an async context of its own, so that what it enters there
 * (`AsyncLocalStorage.enterWith`) nothing that comes later sees.
 * All begin as the one in which this was made: the place that makes a context may have been entered meanwhile, also by the first use of
 * any storage in the process, which Node books to whatever is at work.
 */
import { AsyncResource } from "node:async_hooks";

const make = (): AsyncResource => new AsyncResource("GODWIT");

export class OwnContexts {
  readonly #first = make();

  next(): AsyncResource {
    return this.#first.runInAsyncScope(make);
  }
}
