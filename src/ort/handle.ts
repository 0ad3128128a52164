import { CxmindError } from '../errors.ts';

/**
 * A native object with one owner, and any number of users at a time.
 *
 * It is released when its owner and the last of its users have disposed of it. So no order of disposal leaves a dangling
 * pointer.
 */
export class Handle implements Disposable {
  readonly #what: string;
  readonly #pointer: bigint;
  readonly #owned: Disposable;
  /** Number of users, the owner among them. */
  #users = 1;
  #isDisposed = false;

  /**
   * @param what  its name in errors, such as `session policy.forward`
   * @param owned disposed of to release it
   */
  constructor(what: string, pointer: bigint, owned: Disposable) {
    this.#what = what;
    this.#pointer = pointer;
    this.#owned = owned;
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
   * Keeps the native object alive until the result is disposed of, once.
   *
   * @throws RUNTIME_FAILED after disposal
   */
  hold(): Disposable {
    this.#assertLive();
    this.#users++;
    return {
      [Symbol.dispose]: () => {
        this.#drop();
      },
    };
  }

  #drop(): void {
    this.#users--;
    if (this.#users === 0) this.#owned[Symbol.dispose]();
  }

  [Symbol.dispose](): void {
    if (this.#isDisposed) return;
    this.#isDisposed = true;
    this.#drop();
  }

  #assertLive(): void {
    if (!this.#isDisposed) return;
    throw new CxmindError('RUNTIME_FAILED', `${this.#what}: used after dispose`);
  }
}
