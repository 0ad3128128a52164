import { CxmindError } from '../errors.ts';

/**
 * A native object with one owner, and any number of users at a time.
 *
 * It is released when the owner has disposed it and the last user has dropped it. So no order of disposal leaves a
 * dangling pointer.
 */
export class Handle implements Disposable {
  readonly #what: string;
  readonly #pointer: bigint;
  readonly #release: () => void;
  #holders = 1;
  #isDisposed = false;

  /** @param what its name in errors, such as `session policy.forward` */
  constructor(what: string, pointer: bigint, release: () => void) {
    this.#what = what;
    this.#pointer = pointer;
    this.#release = release;
  }

  get isDisposed(): boolean {
    return this.#isDisposed;
  }

  /**
   * The native pointer.
   *
   * @throws RUNTIME_FAILED after disposal
   */
  get pointer(): bigint {
    this.#assertLive();
    return this.#pointer;
  }

  /**
   * Keeps the native object alive until the matching `drop`.
   *
   * @throws RUNTIME_FAILED after disposal
   */
  hold(): void {
    this.#assertLive();
    this.#holders++;
  }

  /** Ends a `hold`. */
  drop(): void {
    this.#holders--;
    if (this.#holders === 0) this.#release();
  }

  [Symbol.dispose](): void {
    if (this.#isDisposed) return;
    this.#isDisposed = true;
    this.drop();
  }

  #assertLive(): void {
    if (!this.#isDisposed) return;
    throw new CxmindError('RUNTIME_FAILED', `${this.#what}: used after dispose`);
  }
}
