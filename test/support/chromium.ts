/**
 * A browser for tests: Debian's Chromium without a window, driven over a pipe by the Chrome DevTools Protocol.
 *
 * The protocol's messages are JSON, each behind it a NUL byte, so no library is needed.
 *
 * @see https://chromedevtools.github.io/devtools-protocol/
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import type { Readable, Writable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { TemporaryDirectory } from './temporary-directory.ts';

/** The program behind Debian's wrapper, which would read settings of the machine. */
const program = '/usr/lib/chromium/chromium';

const flags = [
  '--headless=new',
  '--remote-debugging-pipe',
  '--no-sandbox',
  '--no-first-run',
  '--no-default-browser-check',
  '--disable-gpu',
  '--disable-dev-shm-usage',
  '--disable-breakpad',
  '--disable-extensions',
  '--disable-sync',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-features=Translate,OptimizationHints,MediaRouter,DialMediaRouteProvider',
  '--force-color-profile=srgb',
  '--lang=en-GB',
];

const POLL_MS = 25;

/** True where the tests have a browser. */
export function hasChromium(): boolean {
  return existsSync(program);
}

interface Message {
  readonly id?: number;
  readonly sessionId?: string;
  readonly method?: string;
  readonly params?: Readonly<Record<string, unknown>>;
  readonly result?: Readonly<Record<string, unknown>>;
  readonly error?: { readonly message: string };
}

type Listener = (method: string, params: Readonly<Record<string, unknown>>) => void;

/** A running browser. */
export class Chromium implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly #folder: TemporaryDirectory;
  readonly #open = new Map<number, PromiseWithResolvers<Readonly<Record<string, unknown>>>>();
  readonly #listeners = new Map<string, Listener>();
  #rest = '';
  #count = 0;

  private constructor(child: ChildProcess, folder: TemporaryDirectory) {
    this.#child = child;
    this.#folder = folder;
    (child.stdio[4] as Readable).setEncoding('utf8').on('data', (text: string) => this.#read(text));
  }

  static start(): Chromium {
    const folder = new TemporaryDirectory();
    const child = spawn(program, [...flags, `--user-data-dir=${folder.path}`], {
      stdio: ['ignore', 'ignore', 'ignore', 'pipe', 'pipe'],
      env: { ...process.env, HOME: folder.path },
    });
    return new Chromium(child, folder);
  }

  /** Opens a page with cookies and storage of its own. */
  async page(size: PageSize): Promise<Page> {
    const { browserContextId } = await this.send('Target.createBrowserContext', {});
    const target = { url: 'about:blank', browserContextId };
    const { targetId } = await this.send('Target.createTarget', target);
    const attached = await this.send('Target.attachToTarget', { targetId, flatten: true });
    const session = attached['sessionId'] as string;
    const page = new Page((method, params = {}) => this.send(method, params, session));
    this.#listeners.set(session, (method, params) => page.hear(method, params));
    await page.start(size);
    return page;
  }

  /** Sends a command. @throws Error with the browser's own message */
  send(
    method: string,
    params: Readonly<Record<string, unknown>>,
    sessionId?: string,
  ): Promise<Readonly<Record<string, unknown>>> {
    const id = ++this.#count;
    const reply = Promise.withResolvers<Readonly<Record<string, unknown>>>();
    this.#open.set(id, reply);
    const message = { id, method, params, ...(sessionId !== undefined && { sessionId }) };
    (this.#child.stdio[3] as Writable).write(`${JSON.stringify(message)}\0`);
    return reply.promise;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = once(this.#child, 'close');
    await this.send('Browser.close', {});
    await closed;
    this.#folder[Symbol.dispose]();
  }

  #read(text: string): void {
    const messages = (this.#rest + text).split('\0');
    this.#rest = messages.pop()!;
    for (const message of messages) this.#take(JSON.parse(message) as Message);
  }

  #take({ id, sessionId = '', method, params = {}, result = {}, error }: Message): void {
    if (method !== undefined) this.#listeners.get(sessionId)?.(method, params);
    const reply = this.#open.get(id ?? NaN);
    if (reply === undefined) return;
    this.#open.delete(id!);
    if (error === undefined) reply.resolve(result);
    else reply.reject(new Error(error.message));
  }
}

/** Size of a page in CSS pixels, and its scheme of colours. */
export interface PageSize {
  readonly width: number;
  readonly height: number;
  readonly scheme?: 'light' | 'dark';
}

type Send = (
  method: string,
  params?: Readonly<Record<string, unknown>>,
) => Promise<Readonly<Record<string, unknown>>>;

/** Keys that are no characters, with the codes that the browser wants. */
const keyCodes: Readonly<Record<string, number>> = {
  ...{ Tab: 9, Enter: 13, Escape: 27, PageDown: 34, End: 35, Home: 36 },
  ...{ ArrowLeft: 37, ArrowUp: 38, ArrowRight: 39, ArrowDown: 40 },
};

/** A page, with all that it asked for and complained of. */
export class Page {
  /** URLs of all requests. */
  readonly requests: string[] = [];
  /** Errors of scripts, of the console and of the content policy. */
  readonly complaints: string[] = [];
  readonly #send: Send;

  constructor(send: Send) {
    this.#send = send;
  }

  async start(size: PageSize): Promise<void> {
    for (const domain of ['Page', 'Runtime', 'Network', 'Log'])
      await this.#send(`${domain}.enable`);
    await this.resize(size);
  }

  async resize({ width, height, scheme = 'light' }: PageSize): Promise<void> {
    const metrics = { width, height, deviceScaleFactor: 1, mobile: false };
    await this.#send('Emulation.setDeviceMetricsOverride', metrics);
    const features = [
      { name: 'prefers-color-scheme', value: scheme },
      { name: 'prefers-reduced-motion', value: 'reduce' },
    ];
    await this.#send('Emulation.setEmulatedMedia', { features });
  }

  /** Runs a script in every document that is opened from now on, before its own. */
  async prepare(source: string): Promise<void> {
    await this.#send('Page.addScriptToEvaluateOnNewDocument', { source });
  }

  async open(url: string): Promise<void> {
    await this.#send('Page.navigate', { url });
  }

  /** Value of an expression, or of the promise that it is. */
  async evaluate<T>(expression: string): Promise<T> {
    const options = { expression, awaitPromise: true, returnByValue: true };
    const reply = await this.#send('Runtime.evaluate', options);
    const { exceptionDetails } = reply as {
      exceptionDetails?: { exception?: { description?: string } };
    };
    if (exceptionDetails !== undefined) {
      throw new Error(`${expression}: ${exceptionDetails.exception?.description ?? 'failed'}`);
    }
    return (reply['result'] as { value: T }).value;
  }

  /** Waits until an expression is true; the test's own time limit is the only one. */
  async until(expression: string): Promise<void> {
    while (!(await this.evaluate<unknown>(`Boolean(${expression})`).catch(() => false))) {
      await delay(POLL_MS);
    }
  }

  /** Text of the first element that a selector finds, as a reader sees it. */
  text(selector: string): Promise<string> {
    return this.evaluate<string>(`document.querySelector(${JSON.stringify(selector)}).innerText`);
  }

  /** Presses a key where the focus is. */
  async press(key: string): Promise<void> {
    const code = keyCodes[key];
    const text = code === undefined ? { text: key } : key === 'Enter' ? { text: '\r' } : {};
    const event = { key, windowsVirtualKeyCode: code ?? key.toUpperCase().charCodeAt(0), ...text };
    await this.#send('Input.dispatchKeyEvent', { type: 'keyDown', ...event });
    await this.#send('Input.dispatchKeyEvent', { type: 'keyUp', ...event, text: undefined });
  }

  /** Drags the pointer from one place of the page to another; a drag to the same place is a click. */
  async drag(from: readonly [number, number], to: readonly [number, number]): Promise<void> {
    const at = ([x, y]: readonly [number, number]) => ({ x, y, button: 'left', clickCount: 1 });
    await this.#send('Input.dispatchMouseEvent', {
      type: 'mouseMoved',
      ...at(from),
      button: 'none',
    });
    await this.#send('Input.dispatchMouseEvent', { type: 'mousePressed', ...at(from) });
    await this.#send('Input.dispatchMouseEvent', { type: 'mouseMoved', ...at(to), buttons: 1 });
    await this.#send('Input.dispatchMouseEvent', { type: 'mouseReleased', ...at(to) });
  }

  /** A picture of what is in sight, as PNG. */
  async screenshot(): Promise<Buffer> {
    const { data } = await this.#send('Page.captureScreenshot', { format: 'png' });
    return Buffer.from(data as string, 'base64');
  }

  hear(method: string, params: Readonly<Record<string, unknown>>): void {
    if (method === 'Network.requestWillBeSent') {
      this.requests.push((params['request'] as { url: string }).url);
    } else if (method === 'Runtime.exceptionThrown' || method === 'Log.entryAdded') {
      this.complaints.push(JSON.stringify(params));
    }
  }
}
