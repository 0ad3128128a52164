import assert from 'node:assert/strict';
import { mock } from 'node:test';
import { GenerationEngine } from '../../../src/generation/engine.ts';
import { HostSampler } from '../../../src/generation/cpu/sampler.ts';
import type { GenerationRequest, Response } from '../../../src/generation/request.ts';
import type { GenerationSession, SessionJob } from '../../../src/generation/session.ts';
import { keyOf } from '../../../src/rng.ts';
import { goldenSuite, textPrompt } from '../../support/golden-model.ts';

function request(seed: number, samples = 1, maxTokens = 12): GenerationRequest {
  return {
    prompt: textPrompt([seed + 1, seed + 2, seed + 3]),
    sampling: { temperature: 1, topP: 1, topK: -1 },
    maxTokens,
    stopTokens: [],
    seeds: Array.from({ length: samples }, (_, sample) => keyOf('session', seed, sample)),
  };
}

/** Submits a request. @returns its responses, once all are there */
function answer(
  session: GenerationSession,
  asked: GenerationRequest,
  hooks: Partial<SessionJob> = {},
): Promise<Response[]> {
  return new Promise((resolve, reject) => {
    const responses: Response[] = [];
    let left = asked.seeds.length;
    session.submit({
      request: asked,
      onResponse: (sample, response) => {
        responses[sample] = response;
        if (--left === 0) resolve(responses);
      },
      onError: reject,
      ...hooks,
    });
  });
}

const idsOf = (responses: readonly Response[]): number[][] =>
  responses.map(({ tokenIds }) => [...tokenIds.data]);

describe('GenerationSession', () => {
  const suite = goldenSuite('micro-vl');
  const engineOf = (maxSequences: number): GenerationEngine =>
    new GenerationEngine(suite.device, suite.model.config, suite.model.arena, {
      maxSequences,
      maxPrefillTokens: 200,
      bannedTokens: [],
    });

  it('answers requests that join a running one as a call of their own does', async () => {
    const asked = [request(0, 2, 30), request(1), request(2, 3), request(3)];
    using engine = engineOf(3);
    const expected = (await engine.generate(asked)).map(idsOf);
    await using session = engine.open(64);
    const later: Promise<Response[]>[] = [];
    const first = answer(session, asked[0]!, {
      onToken: (sample) => {
        // One after the other while the first request runs.
        if (sample === 0 && later.length < 3) later.push(answer(session, asked[later.length + 1]!));
        return false;
      },
    });
    const results = [await first, ...(await Promise.all(later))];
    assert.deepEqual(results.map(idsOf), expected);
  });

  it('frees the slot of a request that is aborted', async () => {
    using engine = engineOf(1);
    await using session = engine.open(64);
    const controller = new AbortController();
    let heard = 0;
    session.submit({
      request: request(5, 1, 60),
      signal: controller.signal,
      onToken: () => {
        if (++heard === 3) controller.abort();
        return false;
      },
      onResponse: () => assert.fail('an aborted request has no response'),
      onError: () => assert.fail('nor an error'),
    });
    const waiting = answer(session, request(6, 1, 4));
    const [response] = await waiting;
    assert.equal(response!.tokenIds.data.length, 4);
    assert.equal(heard, 3);
  });

  it('hears nothing more of a request that was aborted before it came', async () => {
    using engine = engineOf(1);
    await using session = engine.open(64);
    const draw = mock.method(HostSampler.prototype, 'draw', () =>
      Promise.reject(new Error('lost')),
    );
    try {
      session.submit({
        request: request(5),
        signal: AbortSignal.abort(),
        onResponse: () => assert.fail('it has no response'),
        onError: () => assert.fail('nor an error'),
      });
      await assert.rejects(answer(session, request(6)), /lost/);
    } finally {
      draw.mock.restore();
    }
  });

  it('ends a response where its owner says so', async () => {
    using engine = engineOf(2);
    await using session = engine.open(64);
    let tokens = 0;
    const [response] = await answer(session, request(7, 1, 40), { onToken: () => ++tokens === 5 });
    assert.equal(response!.tokenIds.data.length, 5);
    assert.equal(response!.finishReason, 'stop');
  });

  it('ends what runs when the device fails, and goes on with what waits', async () => {
    using engine = engineOf(1);
    await using session = engine.open(64);
    // oxlint-disable-next-line typescript/unbound-method -- applied to its own receiver below
    const draw = HostSampler.prototype.draw;
    let draws = 0;
    HostSampler.prototype.draw = function (...args) {
      return ++draws === 3 ? Promise.reject(new Error('lost')) : draw.apply(this, args);
    };
    try {
      const [failed, next] = [answer(session, request(8)), answer(session, request(9, 1, 4))];
      await assert.rejects(failed, /lost/);
      assert.equal((await next)[0]!.tokenIds.data.length, 4);
    } finally {
      HostSampler.prototype.draw = draw;
    }
  });

  it('ends a job whose callback throws, and no other', async () => {
    using engine = engineOf(2);
    await using session = engine.open(64);
    const broken = answer(session, request(10), {
      onToken: () => {
        throw new Error('a listener failed');
      },
    });
    const other = answer(session, request(11, 1, 6));
    await assert.rejects(broken, /a listener failed/);
    assert.equal((await other)[0]!.tokenIds.data.length, 6);
  });

  it('refuses a sequence too long for it, and every request once it is closed', async () => {
    using engine = engineOf(2);
    const session = engine.open(16);
    await assert.rejects(answer(session, request(1, 1, 14)), { code: 'SHAPE_MISMATCH' });
    const last = answer(session, request(1, 1, 6));
    await session.close();
    assert.equal((await last)[0]!.tokenIds.data.length, 6);
    await assert.rejects(answer(session, request(1)), { code: 'RUNTIME_CANCELLED' });
  });
});
