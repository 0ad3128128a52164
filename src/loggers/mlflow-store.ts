/** The contract between the logger of MLflow and its stores: a tracking server, or files. */

/** A value of a metric at a step. */
export interface MetricPoint {
  readonly key: string;
  readonly value: number;
  /** Milliseconds since 1970. */
  readonly timestamp: number;
  readonly step: number;
}

/** Description of a new run of MLflow. */
export interface NewRun {
  readonly name: string;
  readonly experiment: string;
  readonly startTime: number;
  /** The config's values by key, each cut to the length that MLflow takes. */
  readonly params: readonly (readonly [key: string, value: string])[];
}

/** Store of one run of MLflow. */
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
