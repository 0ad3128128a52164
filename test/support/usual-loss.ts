import type { PolicyLossOptions } from '../../src/algorithms/policy-loss.ts';

/** Options of the policy loss for tests that do not change them: no KL term, and the defaults of papers and verl. */
export const usualLoss: PolicyLossOptions = {
  ...{ lossType: 'default', lossAvgMode: 'token' },
  ...{ clipRatioLow: 0.2, clipRatioHigh: 0.3, clipRatioDual: 3 },
  ...{ tauPositive: 1, tauNegative: 1.05 },
  ...{ vespoKPos: 2, vespoLambdaPos: 3, vespoKNeg: 3, vespoLambdaNeg: 2 },
  ...{ clipCovRatio: 0.0002, clipCovLb: 1, clipCovUb: 5, klCovRatio: 0.0002, ppoKlCoef: 1 },
  ...{ useKlLoss: false, klPenalty: 'low_var_kl', klCoef: 0.01 },
};
