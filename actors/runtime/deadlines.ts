import { afterTurn, type OutgoingAsk, type OutgoingTell } from './outgoing-ask.ts';

/**
 * One timer for the deadlines of all asks to an actor.
 *
 * It rings at the first deadline of those that were open when it was set; asks that are answered before, nearly
 * all, cost it nothing.
 */
export class Deadlines {
  readonly #asks: () => Iterable<OutgoingAsk | OutgoingTell>;
  readonly #onDue: (ask: OutgoingAsk) => void;
  #timer: NodeJS.Timeout | undefined;
  #ringsAt = Infinity;

  /**
   * @param asks all that are not done
   * @param onDue   called with each open ask whose deadline has passed
   */
  constructor(asks: () => Iterable<OutgoingAsk | OutgoingTell>, onDue: (ask: OutgoingAsk) => void) {
    this.#asks = asks;
    this.#onDue = onDue;
  }

  /** An ask came. */
  add({ deadline }: OutgoingAsk): void {
    if (deadline < this.#ringsAt) this.#set(deadline);
    else this.#timer?.ref();
  }

  /** No ask is left: the timer may stay, but keeps no process alive. */
  rest(): void {
    this.#timer?.unref();
  }

  /** No ask will come any more. */
  end(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #set(ringsAt: number): void {
    clearTimeout(this.#timer);
    this.#ringsAt = ringsAt;
    this.#timer = afterTurn(ringsAt - Date.now(), () => this.#ring());
  }

  #ring(): void {
    const now = Date.now();
    let next = Infinity;
    const due: OutgoingAsk[] = [];
    for (const ask of this.#asks()) {
      if (ask.kind !== 'ask' || ask.isSettled) continue;
      if (ask.deadline <= now) due.push(ask);
      else next = Math.min(next, ask.deadline);
    }
    this.#timer = undefined;
    this.#ringsAt = Infinity;
    if (next < Infinity) this.#set(next);
    due.sort((a, b) => a.deadline - b.deadline);
    for (const ask of due) if (!ask.isSettled) this.#onDue(ask);
  }
}
