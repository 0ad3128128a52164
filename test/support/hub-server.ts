import { hash } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { listenAt } from '../../src/serving/http.ts';

/** A repository that the server has. */
export interface ServedRepository {
  /** `datasets/owner/name` or `owner/name`. */
  readonly id: string;
  /** Content by path; a path that ends in `.parquet` or `.safetensors` is stored outside git, as on the hub. */
  readonly files: Readonly<Record<string, Uint8Array | string>>;
  /** The token that it takes to see it. */
  readonly token?: string;
}

/** A request that came. */
export interface ServedRequest {
  readonly url: string;
  readonly host: string;
  readonly authorization: string | null;
}

/** Entries of a page of a file listing; the hub's are of 1,000. */
const PAGE = 2;
/** Hash by which git names a file's content. */
const gitHashOf = (content: Uint8Array | string): string => {
  const header = Buffer.from(`blob ${Buffer.byteLength(content)}\0`);
  return hash('sha1', Buffer.concat([header, Buffer.from(content)]));
};

/**
 * Answers as the Hugging Face Hub does: paged listings, `resolve` with ranges and ETags, redirects of large files to
 * another origin, which must not be sent the token, and refusals with the hub's bodies and codes.
 */
export class HubServer implements AsyncDisposable {
  readonly requests: ServedRequest[] = [];
  /** The next transfers that break off in the middle. */
  broken = 0;
  /** The next transfers of the announced size whose content is another. */
  spoilt = 0;
  url = '';
  readonly #server = createServer((request, response) => this.#answer(request, response));
  readonly #repositories: readonly ServedRepository[];

  private constructor(repositories: readonly ServedRepository[]) {
    this.#repositories = repositories;
  }

  static async start(repositories: readonly ServedRepository[]): Promise<HubServer> {
    const hub = new HubServer(repositories);
    hub.url = await listenAt(hub.#server, '127.0.0.1', 0);
    return hub;
  }

  /** The commit that a repository's main branch stands at. */
  static commitOf({ id, files }: ServedRepository): string {
    return hash('sha1', id + JSON.stringify(Object.keys(files)));
  }

  [Symbol.asyncDispose](): Promise<void> {
    const closed = this.#server[Symbol.asyncDispose]();
    this.#server.closeAllConnections();
    return closed;
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    const { url = '', headers } = request;
    const authorization = headers.authorization ?? null;
    this.requests.push({ url, host: headers.host ?? '', authorization });
    response.setHeader('connection', 'close');
    const { pathname, searchParams } = new URL(url, this.url);
    const path = decodeURIComponent(pathname);
    if (path.startsWith('/cdn/')) {
      this.#sendStored(path, headers.range, response);
      return;
    }
    const repository = this.#repositories.find(({ id }) =>
      [`/api/${id}/`, `/api/models/${id}/`, `/${id}/resolve/`].some((at) => path.startsWith(at)),
    );
    const isOpen =
      repository?.token === undefined || authorization === `Bearer ${repository.token}`;
    if (repository === undefined || !isOpen) {
      // Who asks without a token is not told whether there is such a repository.
      const status = authorization === null ? 401 : 404;
      response.setHeader('x-error-code', 'RepoNotFound');
      json(response, status, {
        error: status === 401 ? 'Invalid username or password.' : 'Repository not found',
      });
      return;
    }
    const commit = HubServer.commitOf(repository);
    if (path.includes('/revision/')) {
      json(response, 200, { _id: '1', id: repository.id.replace('datasets/', ''), sha: commit });
    } else if (path.includes('/tree/')) {
      this.#list(repository, pathname, Number(searchParams.get('cursor') ?? 0), response);
    } else {
      this.#resolve(repository, path.split(/\/resolve\/[^/]+\//)[1] ?? '', headers.range, response);
    }
  }

  #list({ files }: ServedRepository, path: string, start: number, response: ServerResponse): void {
    const names = Object.keys(files).sort();
    const end = start + PAGE;
    if (end < names.length) {
      response.setHeader('link', `<${this.url}${path}?recursive=true&cursor=${end}>; rel="next"`);
    }
    json(
      response,
      200,
      names.slice(start, end).map((name) => {
        const content = files[name]!;
        const size = Buffer.byteLength(content);
        const lfs = { oid: hash('sha256', content), size, pointerSize: 130 };
        const entry = { type: 'file', oid: gitHashOf(content), size, path: name };
        return isStoredOutside(name) ? { ...entry, lfs } : entry;
      }),
    );
  }

  #resolve(
    { id, files }: ServedRepository,
    name: string,
    range: string | undefined,
    response: ServerResponse,
  ): void {
    const content = files[name];
    if (content === undefined) {
      response.setHeader('x-error-code', 'EntryNotFound');
      json(response, 404, { error: 'Entry not found' });
      return;
    }
    if (!isStoredOutside(name)) {
      response.setHeader('etag', `"${gitHashOf(content)}"`);
      this.#send(content, range, response);
      return;
    }
    response.setHeader('x-linked-size', Buffer.byteLength(content));
    response.setHeader('x-linked-etag', `"${hash('sha256', content)}"`);
    response.setHeader(
      'location',
      `${this.url.replace('127.0.0.1', 'localhost')}/cdn/${id}::${name}`,
    );
    response.writeHead(302).end();
  }

  #sendStored(path: string, range: string | undefined, response: ServerResponse): void {
    const [id, name = ''] = path.slice('/cdn/'.length).split('::');
    const content = this.#repositories.find((repository) => repository.id === id)!.files[name]!;
    response.setHeader('etag', `"${hash('sha256', content)}"`);
    this.#send(content, range, response);
  }

  #send(content: Uint8Array | string, range: string | undefined, response: ServerResponse): void {
    const bytes = Buffer.from(content);
    const [, from, to] = /bytes=(\d+)-(\d+)/.exec(range ?? '') ?? [];
    if (from !== undefined) {
      const part = bytes.subarray(Number(from), Number(to) + 1);
      response.setHeader('content-range', `bytes ${from}-${to}/${bytes.length}`);
      response.writeHead(206).end(part);
      return;
    }
    if (this.spoilt > 0 && bytes.length > 0) {
      this.spoilt--;
      bytes[0]! ^= 1;
    }
    response.setHeader('content-length', bytes.length);
    response.writeHead(200);
    if (this.broken > 0) {
      this.broken--;
      response.write(bytes.subarray(0, bytes.length >> 1), () => response.destroy());
    } else {
      response.end(bytes);
    }
  }
}

function isStoredOutside(name: string): boolean {
  return /\.(parquet|safetensors)$/.test(name);
}

function json(response: ServerResponse, status: number, body: unknown): void {
  response.setHeader('content-type', 'application/json; charset=utf-8');
  response.writeHead(status).end(JSON.stringify(body));
}
