/** Requests to the server of the dashboard, and its events. */
import type { ApiError, Event as ServerEvent } from '../api.ts';

/** Values of a query; an array repeats its name, undefined leaves it out. */
export type Query = Readonly<
  Record<string, string | number | readonly string[] | null | undefined>
>;

/** State of the stream of events. `refused` means that the token is missing or wrong. */
export type Connection = 'connecting' | 'open' | 'lost' | 'refused';

const RETRY_MS = 2_000;
const eventTypes = [
  'runs',
  'status',
  'grown',
  'request',
] as const satisfies readonly ServerEvent['type'][];

/** Address of an answer, `api/runs/RUN/series?name=…`. */
export function apiPath(path: string, query: Query = {}): string {
  const values = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value === null || value === undefined) continue;
    for (const each of typeof value === 'object' ? value : [value])
      values.append(name, String(each));
  }
  return `api/${path}${values.size === 0 ? '' : `?${values.toString()}`}`;
}

/** Fetches an answer. @throws Error for an error status, TypeError where there is no server */
export async function get<T>(path: string, query: Query, signal: AbortSignal): Promise<T> {
  return answerOf<T>(await fetch(apiPath(path, query), { signal }));
}

/** Sends a request with a JSON body. */
export async function post<T>(path: string, body: unknown): Promise<T> {
  const headers = { 'content-type': 'application/json' };
  return answerOf<T>(
    await fetch(apiPath(path), { method: 'POST', headers, body: JSON.stringify(body) }),
  );
}

/** Listens to events as long as the page is open, and connects again after a lost connection. */
export function listen(
  onEvent: (event: ServerEvent) => void,
  onConnection: (connection: Connection) => void,
): void {
  const source = new EventSource(apiPath('events'));
  source.addEventListener('open', () => onConnection('open'));
  for (const type of eventTypes) {
    source.addEventListener(type, ({ data }: MessageEvent<string>) => {
      onEvent(JSON.parse(data) as ServerEvent);
    });
  }
  source.addEventListener('error', () => {
    // The browser comes back to a server that was gone, not to one that answered with an error.
    if (source.readyState !== EventSource.CLOSED) {
      onConnection('lost');
      return;
    }
    void isRefused().then((refused) => {
      onConnection(refused ? 'refused' : 'lost');
      setTimeout(() => listen(onEvent, onConnection), RETRY_MS);
    });
  });
}

async function isRefused(): Promise<boolean> {
  try {
    const { status } = await fetch(apiPath('runs'));
    return status === 401 || status === 403;
  } catch {
    return false;
  }
}

async function answerOf<T>(response: Response): Promise<T> {
  if (response.ok) return (await response.json()) as T;
  throw new Error(await messageOf(response));
}

async function messageOf(response: Response): Promise<string> {
  try {
    return ((await response.json()) as ApiError).error.message;
  } catch {
    return `the server answered with status ${response.status}`;
  }
}
