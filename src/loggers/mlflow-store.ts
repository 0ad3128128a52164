/** A value of a metric at a step. */
export interface MetricPoint {
  readonly key: string;
  readonly value: number;
  /** Milliseconds since 1970. */
  readonly timestamp: number;
  readonly step: number;
}

/** What a run of MLflow is begun with. */
export interface NewRun {
  readonly name: string;
  readonly experiment: string;
  readonly startTime: number;
  /** A parameter's text is cut to what MLflow takes. */
  readonly params: readonly (readonly [key: string, value: string])[];
}

/** Where a run of MLflow is kept: on a server, or in files. */
export interface RunStore {
  begin(run: NewRun): void | Promise<void>;
  metrics(points: readonly MetricPoint[]): void | Promise<void>;
  end(status: 'FINISHED' | 'FAILED', endTime: number): void | Promise<void>;
}

/** The variables that MLflow's own client reads. */
export interface MlflowEnvironment {
  readonly MLFLOW_TRACKING_URI?: string | undefined;
  readonly MLFLOW_EXPERIMENT_NAME?: string | undefined;
  readonly MLFLOW_TRACKING_TOKEN?: string | undefined;
  readonly MLFLOW_TRACKING_USERNAME?: string | undefined;
  readonly MLFLOW_TRACKING_PASSWORD?: string | undefined;
}
