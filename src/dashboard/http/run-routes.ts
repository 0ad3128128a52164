/** The routes of the API, which `src/dashboard/api.ts` describes. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { valueAt } from '../../check/codec.ts';
import { parsedJson } from '../../check/json.ts';
import { asCxmindError } from '../../errors.ts';
import { send, type Route, type Routes } from '../../serving/http.ts';
import { refusal } from '../../serving/refusal.ts';
import { thumbnail } from '../../vision/encode.ts';
import type { RunList } from '../api.ts';
import { RequestKind, type RunRequest } from '../run-files.ts';
import type { SamplePlace } from '../api-samples.ts';
import { configTable } from '../readers/config.ts';
import { logLevels } from '../page/log-levels.ts';
import { sampleKinds, type Slice } from '../readers/samples.ts';
import type { RunControl } from '../run-control.ts';
import type { RunView } from '../run-view.ts';
import { listingsOf, type Runs } from '../runs.ts';
import { Query } from './query.ts';

const MOST_RUNS = 16;
const MOST_METRICS = 64;
const MOST_SAMPLES = 200;
const MOST_HISTORY = 50;
const MOST_LINES = 1000;
const MOST_BODY_BYTES = 4096;
/** Longer side of a picture. */
const PICTURE_SIDE = 1024;

/** Routes that concern all runs or several. */
export function listRoutes(runs: Runs): Routes {
  return {
    '/api/runs': get(async (): Promise<RunList> => ({ runs: await listingsOf(await runs.find()) })),
    '/api/config': get(async (query) => {
      const views = await Promise.all(
        query
          .texts('run')
          .slice(0, MOST_RUNS)
          .map((id) => runs.of(id)),
      );
      return configTable(views.map(({ place }) => place));
    }),
  };
}

/** Routes of a run, by the part of their paths behind its id. */
export function runRoutes(view: RunView, control: RunControl): Routes {
  const { folder } = view.place;
  return {
    '': get(() => view.detail()),
    metrics: get(async () => {
      await view.metrics.refresh();
      return view.metrics.list();
    }),
    series: get(async (query) => {
      await view.metrics.refresh();
      const names = query.texts('name').slice(0, MOST_METRICS);
      const after = query.whole('after') ?? -Infinity;
      const points = query.whole('points') ?? Infinity;
      return view.metrics.series(names, after, Math.max(4, points));
    }),
    timeline: get(async (query) => {
      await view.timeline.refresh();
      return await view.timeline.of(query.whole('step'));
    }),
    ...sampleRoutes(view),
    validation: get((query) => view.validation(query.whole('step'))),
    log: get((query) =>
      view.log({
        before: query.whole('before'),
        after: query.whole('after'),
        count: query.count('count', 200, MOST_LINES),
        level: query.oneOf('level', logLevels, 'debug'),
      }),
    ),
    requests: {
      ...get(async () => ({ requests: await control.requests(folder) })),
      POST: async (request, response) => {
        const kind = valueAt(parsedJson(await bodyOf(request)), 'kind');
        if (!RequestKind.is(kind)) {
          throw refusal(400, 'kind: expected one of stop, save, validate', { param: 'kind' });
        }
        send(response, 202, await asked(control, folder, kind));
      },
    },
  };
}

function sampleRoutes(view: RunView): Routes {
  const kindIn = (query: Query) => query.oneOf('kind', sampleKinds, 'rollout');
  const samplesOf = (query: Query) => view.samples(kindIn(query));
  const placeIn = (query: Query): SamplePlace => ({
    step: query.whole('step') ?? 0,
    row: query.whole('row') ?? 0,
  });
  const sliceIn = (query: Query, usual: number, most: number): Slice => ({
    start: query.whole('start') ?? 0,
    count: query.count('count', usual, most),
  });
  return {
    samples: get((query) => view.sampleSteps(kindIn(query))),
    'samples/page': get(async (query) => {
      const step = query.whole('step') ?? 0;
      const slice = sliceIn(query, 50, MOST_SAMPLES);
      return (await samplesOf(query)).page(step, slice);
    }),
    'samples/one': get(async (query) => {
      const sample = await (await samplesOf(query)).one(placeIn(query));
      if (sample === null) throw refusal(404, 'no such sample');
      return sample;
    }),
    'samples/prompt': get(async (query) => {
      const prompt = query.text('prompt');
      const slice = sliceIn(query, 10, MOST_HISTORY);
      return (await samplesOf(query)).history(prompt, slice);
    }),
    'samples/picture': {
      GET: async (request, response) => {
        const query = new Query(request.url ?? '');
        const samples = await samplesOf(query);
        const path = await samples.picture(placeIn(query), query.whole('picture') ?? 0);
        await sendPicture(response, path);
      },
    },
  };
}

/** Asks a run for something. @throws DATA_INVALID, a refusal with status 409, where no run takes it */
async function asked(control: RunControl, folder: string, kind: RequestKind): Promise<RunRequest> {
  try {
    return await control.request(folder, kind);
  } catch (error) {
    const { code, message } = asCxmindError(error);
    throw code === 'CONFIG_INVALID' ? refusal(409, message) : error;
  }
}

/** Sends a picture, encoded again as a JPEG, so that it never sends the bytes of a file. */
async function sendPicture(response: ServerResponse, path: string | null): Promise<void> {
  const picture = path === null ? null : await thumbnail(path, PICTURE_SIDE);
  if (picture === null) throw refusal(404, 'no such picture, or one that cannot be read');
  response.writeHead(200, {
    'content-type': 'image/jpeg',
    'content-length': picture.length,
    'cache-control': 'private, max-age=3600',
  });
  response.end(picture);
}

/** A route that answers a GET with JSON. */
function get(answer: (query: Query) => object | Promise<object | null>): { readonly GET: Route } {
  return {
    GET: async (request, response) =>
      send(response, 200, await answer(new Query(request.url ?? ''))),
  };
}

/** The body of a request. @throws DATA_INVALID, a refusal with status 413, for a large one */
async function bodyOf(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > MOST_BODY_BYTES) throw refusal(413, 'the body is too large');
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString();
}
