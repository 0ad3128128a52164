const named =
  'unit/config/unsupported.test.ts › is named in the one line of all of them, wherever it is set';

/**
 * For every key of the config the test that shows its effect, or several where it takes them, as `FILE › TITLE` below
 * `test/`: what the key changes, or, of what speaks to another engine, that it is named.
 */
export const effects: Readonly<Record<string, string | readonly string[]>> = {
  'data.train_files':
    'unit/effects/data.test.ts › changes the prompts: data.train_files=FOLDER/some.jsonl',
  'data.val_files':
    'unit/effects/data.test.ts › changes the prompts: data.val_files=FOLDER/some.jsonl',
  'data.prompt_key': 'unit/effects/data.test.ts › changes the prompts: data.prompt_key=question',
  'data.answer_key': 'unit/effects/data.test.ts › changes the prompts: data.answer_key=solution',
  'data.image_key': 'unit/effects/data.test.ts › changes the prompts: data.image_key=scans',
  'data.video_key': 'unit/effects/data.test.ts › changes prompts with videos: data.video_key=clips',
  'data.image_dir': 'unit/effects/data.test.ts › changes the prompts: data.image_dir=FOLDER/b',
  'data.video_fps': 'unit/effects/data.test.ts › changes prompts with videos: data.video_fps=8',
  'data.max_prompt_length': [
    'unit/effects/data.test.ts › changes the prompts: data.max_prompt_length=100',
    'unit/effects/training.test.ts › changes how an update is divided: data.max_prompt_length=90',
  ],
  'data.max_response_length': [
    'unit/effects/steps.test.ts › changes the responses: data.max_response_length=2',
    'unit/effects/data.test.ts › changes which answers can be imitated: data.max_response_length=4',
    'unit/effects/training.test.ts › changes how an update is divided: data.max_response_length=120',
  ],
  'data.rollout_batch_size':
    'unit/effects/steps.test.ts › changes the responses: data.rollout_batch_size=4',
  'data.mini_rollout_batch_size':
    'unit/effects/steps.test.ts › changes how many calls make the responses: data.mini_rollout_batch_size=1',
  'data.val_batch_size':
    'unit/effects/steps.test.ts › changes what is asked: data.val_batch_size=4',
  'data.format_prompt':
    'unit/effects/data.test.ts › changes the prompts: data.format_prompt=FOLDER/format.jinja',
  'data.override_chat_template':
    'unit/effects/data.test.ts › changes the prompts: data.override_chat_template="{{ messages[0].role }}<|image_pad|>"',
  'data.shuffle': 'unit/effects/data.test.ts › changes the prompts: data.shuffle=false',
  'data.seed': 'unit/effects/data.test.ts › changes the prompts: data.seed=2',
  'data.min_pixels': 'unit/effects/data.test.ts › changes the prompts: data.min_pixels=8000',
  'data.max_pixels': 'unit/effects/data.test.ts › changes the prompts: data.max_pixels=8000',
  'data.bit_depth':
    'unit/effects/data.test.ts › changes prompts with 16-bit pictures: data.bit_depth=12',
  'data.filter_overlong_prompts':
    'unit/effects/data.test.ts › changes which prompts there are: data.filter_overlong_prompts=false',
  'data.filter_overlong_prompts_workers':
    'unit/effects/data.test.ts › changes how many rows are measured at a time: data.filter_overlong_prompts_workers=3',
  'data.num_workers':
    'unit/effects/data.test.ts › is how many actors read pixels: data.num_workers',
  'data.invalid_rows':
    'unit/effects/data.test.ts › changes what a bad row does: data.invalid_rows=skip',
  'data.max_invalid_fraction':
    'unit/effects/data.test.ts › changes how many bad rows are skipped: data.max_invalid_fraction=0.2',
  'data.check':
    'unit/effects/data.test.ts › changes when a picture that is cut off is found: data.check=all',
  'algorithm.gamma': [
    'unit/effects/training.test.ts › changes those of GAE: algorithm.gamma=0.5',
    'unit/effects/training.test.ts › changes those of REINFORCE++: algorithm.gamma=0.5',
  ],
  'algorithm.lam': 'unit/effects/training.test.ts › changes those of GAE: algorithm.lam=0.5',
  'algorithm.adv_estimator': [
    'unit/effects/training.test.ts › changes them: algorithm.adv_estimator=rloo',
    'unit/effects/training.test.ts › changes them: algorithm.adv_estimator=grpo_passk',
    'unit/effects/training.test.ts › changes them: algorithm.adv_estimator=remax',
    'unit/effects/training.test.ts › changes them: algorithm.adv_estimator=reinforce_plus_plus',
    'unit/effects/training.test.ts › changes them: algorithm.adv_estimator=gae',
  ],
  'algorithm.disable_kl': [
    'unit/effects/training.test.ts › changes a loss with KL: algorithm.disable_kl=true',
    'unit/actors/policy.test.ts › gives the reference a copy of weights that are trained, in the type that is asked for',
  ],
  'algorithm.use_kl_loss': [
    'unit/effects/training.test.ts › changes the loss and its gradient: algorithm.use_kl_loss=true',
    'unit/effects/training.test.ts › changes them: algorithm.use_kl_loss=true',
  ],
  'algorithm.kl_penalty': [
    'unit/effects/training.test.ts › changes a loss with KL: algorithm.kl_penalty=mse',
    'unit/effects/training.test.ts › changes them: algorithm.kl_penalty=abs',
  ],
  'algorithm.kl_coef': [
    'unit/effects/training.test.ts › changes a loss with KL: algorithm.kl_coef=0.5',
    'unit/effects/training.test.ts › changes them: algorithm.kl_coef=0.5',
  ],
  'algorithm.kl_type':
    'unit/effects/training.test.ts › changes the weight of KL in the next step: algorithm.kl_type=adaptive',
  'algorithm.kl_horizon':
    'unit/effects/training.test.ts › changes the weight that adapts: algorithm.kl_horizon=100',
  'algorithm.kl_target':
    'unit/effects/training.test.ts › changes the weight that adapts: algorithm.kl_target=0.5',
  'algorithm.online_filtering':
    'unit/effects/steps.test.ts › changes which responses are kept: algorithm.online_filtering=false',
  'algorithm.filter_key':
    'unit/effects/steps.test.ts › changes which responses are kept: algorithm.filter_key=shortness',
  'algorithm.filter_low':
    'unit/effects/steps.test.ts › changes which responses are kept: algorithm.filter_low=4.2',
  'algorithm.filter_high':
    'unit/effects/steps.test.ts › changes which responses are kept: algorithm.filter_high=5.5',
  'worker.hybrid_engine':
    'unit/config/unsupported.test.ts › is refused plainly: worker.hybrid_engine=false',
  'worker.actor.strategy': named,
  'worker.actor.global_batch_size':
    'unit/effects/steps.test.ts › changes what is asked: worker.actor.global_batch_size=2',
  'worker.actor.micro_batch_size_per_device_for_update':
    'unit/effects/training.test.ts › changes how an update is divided: worker.actor.micro_batch_size_per_device_for_update=1',
  'worker.actor.micro_batch_size_per_device_for_experience':
    'unit/effects/training.test.ts › changes how scoring is divided: worker.actor.micro_batch_size_per_device_for_experience=6',
  'worker.actor.max_grad_norm':
    'unit/effects/training.test.ts › changes the weights after some steps: worker.actor.max_grad_norm=0.1',
  'worker.actor.clip_ratio_low':
    'unit/effects/training.test.ts › changes the loss and its gradient: worker.actor.clip_ratio_low=0.1',
  'worker.actor.clip_ratio_high':
    'unit/effects/training.test.ts › changes the loss and its gradient: worker.actor.clip_ratio_high=0.1',
  'worker.actor.clip_ratio_dual':
    'unit/effects/training.test.ts › changes the loss and its gradient: worker.actor.clip_ratio_dual=2',
  'worker.actor.loss_avg_mode':
    'unit/effects/training.test.ts › changes the loss and its gradient: worker.actor.loss_avg_mode=seq',
  'worker.actor.loss_type': [
    'unit/effects/training.test.ts › changes the loss and its gradient: worker.actor.loss_type=gspo',
    'unit/effects/training.test.ts › changes the loss and its gradient: worker.actor.loss_type=gspo_token',
    'unit/effects/training.test.ts › changes the loss and its gradient: worker.actor.loss_type=cispo',
    'unit/effects/training.test.ts › changes the loss and its gradient: worker.actor.loss_type=sapo',
  ],
  'worker.actor.ppo_epochs':
    'unit/effects/training.test.ts › worker.actor.ppo_epochs is how often a batch is gone through',
  'worker.actor.padding_free': named,
  'worker.actor.dynamic_batching': [
    'unit/effects/training.test.ts › changes how an update is divided: worker.actor.dynamic_batching=false',
    'unit/effects/training.test.ts › changes how scoring is divided: worker.actor.dynamic_batching=false',
  ],
  'worker.actor.ulysses_size': named,
  'worker.actor.use_torch_compile': named,
  'worker.actor.tau_positive':
    'unit/effects/training.test.ts › changes the loss of SAPO: worker.actor.tau_positive=2',
  'worker.actor.tau_negative':
    'unit/effects/training.test.ts › changes the loss of SAPO: worker.actor.tau_negative=2',
  'worker.actor.model.model_path':
    'integration/adapters.test.ts › answers with the adapters as the merged model does',
  'worker.actor.model.tokenizer_path':
    'unit/effects/data.test.ts › changes the prompts: worker.actor.model.tokenizer_path=FOLDER/tokenizer',
  'worker.actor.model.override_config':
    'integration/adapters.test.ts › computes with a config that is laid over the checkpoint, and saves it',
  'worker.actor.model.enable_gradient_checkpointing': [
    'unit/effects/training.test.ts › changes what is kept of a pass: worker.actor.model.enable_gradient_checkpointing=false',
    'unit/model/policy.test.ts › keeps less when it computes blocks again, and comes to the same gradients',
  ],
  'worker.actor.model.trust_remote_code': named,
  'worker.actor.model.freeze_vision_tower': [
    'integration/adapters.test.ts › leaves a frozen vision tower its bytes, and keeps no moments for it',
    'unit/actors/policy.test.ts › leaves the vision tower out of what is trained, and says so',
  ],
  'worker.actor.model.lora.rank': [
    'unit/actors/policy.test.ts › has adapters of the rank, the scale and the modules that are asked for',
    'integration/adapters.test.ts › has moments for adapters alone, and says how many',
  ],
  'worker.actor.model.lora.alpha':
    'unit/actors/policy.test.ts › has adapters of the rank, the scale and the modules that are asked for',
  'worker.actor.model.lora.target_modules': [
    'unit/actors/policy.test.ts › has adapters of the rank, the scale and the modules that are asked for',
    'integration/adapters.test.ts › adapts what is asked for, and no vision tower that is frozen',
  ],
  'worker.actor.model.lora.exclude_modules':
    'unit/actors/policy.test.ts › has adapters of the rank, the scale and the modules that are asked for',
  'worker.actor.optim.lr':
    'unit/effects/steps.test.ts › changes what is asked: worker.actor.optim.lr=0.5',
  'worker.actor.optim.betas':
    'unit/effects/training.test.ts › changes the weights after some steps: worker.actor.optim.betas=[0.5, 0.9]',
  'worker.actor.optim.weight_decay':
    'unit/effects/training.test.ts › changes the weights after some steps: worker.actor.optim.weight_decay=0.5',
  'worker.actor.optim.strategy':
    'unit/effects/training.test.ts › changes the weights after some steps: worker.actor.optim.strategy=adamw_bf16',
  'worker.actor.optim.lr_warmup_ratio':
    'unit/effects/steps.test.ts › changes what is asked: worker.actor.optim.lr_warmup_ratio=0.9',
  'worker.actor.optim.lr_warmup_steps':
    'unit/effects/steps.test.ts › changes what is asked: worker.actor.optim.lr_warmup_steps=8',
  'worker.actor.optim.min_lr_ratio':
    'unit/effects/steps.test.ts › changes the end of a cosine: worker.actor.optim.min_lr_ratio=0.5',
  'worker.actor.optim.warmup_style': named,
  'worker.actor.optim.lr_scheduler_type':
    'unit/effects/steps.test.ts › changes what is asked: worker.actor.optim.lr_scheduler_type=cosine',
  'worker.actor.optim.training_steps': 'unit/config/derive.test.ts › reaches both schedules',
  'worker.actor.fsdp.enable_full_shard': named,
  'worker.actor.fsdp.enable_cpu_offload':
    'unit/actors/policy.test.ts › keeps weights in a file that are asked for there: worker.ROLE.fsdp.enable_cpu_offload',
  'worker.actor.fsdp.enable_rank0_init': named,
  'worker.actor.fsdp.use_orig_params': named,
  'worker.actor.fsdp.torch_dtype':
    'unit/effects/training.test.ts › changes the weights after some steps: worker.actor.fsdp.torch_dtype=bf16',
  'worker.actor.fsdp.fsdp_size': named,
  'worker.actor.fsdp.mp_param_dtype':
    'unit/actors/compute-dtype.test.ts › is what the actor and all who read its weights compute in',
  'worker.actor.fsdp.mp_reduce_dtype':
    'unit/effects/training.test.ts › changes the weights after some steps: worker.actor.fsdp.mp_reduce_dtype=bf16',
  'worker.actor.fsdp.mp_buffer_dtype': named,
  'worker.actor.offload.offload_params':
    'unit/actors/policy.test.ts › keeps weights in a file that are asked for there: worker.ROLE.offload.offload_params',
  'worker.actor.offload.offload_optimizer':
    "unit/effects/training.test.ts › changes where the optimizer's state lies: worker.actor.offload.offload_optimizer=true",
  'worker.actor.num_workers':
    'unit/actors/placement.test.ts › lays learners out in blocks of neighbours, from the head on',
  'worker.actor.global_batch_size_per_device':
    'unit/config/derive.test.ts › copies lengths, KL settings and log-probability settings between sections',
  'worker.actor.disable_kl':
    'unit/config/derive.test.ts › copies lengths, KL settings and log-probability settings between sections',
  'worker.actor.use_kl_loss':
    'unit/config/derive.test.ts › copies lengths, KL settings and log-probability settings between sections',
  'worker.actor.kl_penalty':
    'unit/config/derive.test.ts › copies lengths, KL settings and log-probability settings between sections',
  'worker.actor.kl_coef':
    'unit/config/derive.test.ts › copies lengths, KL settings and log-probability settings between sections',
  'worker.critic.strategy': named,
  'worker.critic.global_batch_size':
    'unit/effects/steps.test.ts › changes what is asked: worker.critic.global_batch_size=2',
  'worker.critic.micro_batch_size_per_device_for_update':
    'unit/effects/training.test.ts › changes how an update is divided: worker.critic.micro_batch_size_per_device_for_update=1',
  'worker.critic.micro_batch_size_per_device_for_experience':
    'unit/effects/training.test.ts › changes how scoring is divided: worker.critic.micro_batch_size_per_device_for_experience=6',
  'worker.critic.max_grad_norm':
    'unit/effects/training.test.ts › changes the weights after some steps: worker.critic.max_grad_norm=0.1',
  'worker.critic.cliprange_value':
    'unit/effects/training.test.ts › changes the loss and its gradient: worker.critic.cliprange_value=0.05',
  'worker.critic.loss_avg_mode':
    'unit/effects/training.test.ts › changes the loss and its gradient: worker.critic.loss_avg_mode=seq',
  'worker.critic.ppo_epochs':
    'unit/effects/training.test.ts › worker.critic.ppo_epochs is how often a batch is gone through',
  'worker.critic.padding_free': named,
  'worker.critic.dynamic_batching': [
    'unit/effects/training.test.ts › changes how an update is divided: worker.critic.dynamic_batching=false',
    'unit/effects/training.test.ts › changes how scoring is divided: worker.critic.dynamic_batching=false',
  ],
  'worker.critic.ulysses_size': named,
  'worker.critic.model.model_path':
    'unit/actors/critic.test.ts › begins with the value model it is given, and else with the policy and a new head',
  'worker.critic.model.tokenizer_path': named,
  'worker.critic.model.override_config': [
    'unit/actors/critic.test.ts › lays keys over the config, and names those that change nothing',
    'unit/actors/critic.test.ts › steps everything else, keeps no moments for it, and saves its config',
  ],
  'worker.critic.model.enable_gradient_checkpointing': [
    'unit/effects/training.test.ts › changes what is kept of a pass: worker.critic.model.enable_gradient_checkpointing=false',
    'golden/value-models.test.ts › gives every parameter of micro-vl the same gradient, recomputing blocks',
  ],
  'worker.critic.model.trust_remote_code': named,
  'worker.critic.model.freeze_vision_tower': [
    'unit/actors/critic.test.ts › leaves the vision tower out of what is trained, and says so',
    'unit/actors/critic.test.ts › steps everything else, keeps no moments for it, and saves its config',
  ],
  'worker.critic.model.lora.rank': named,
  'worker.critic.model.lora.alpha': named,
  'worker.critic.model.lora.target_modules': named,
  'worker.critic.model.lora.exclude_modules': named,
  'worker.critic.optim.lr':
    'unit/effects/steps.test.ts › changes what is asked: worker.critic.optim.lr=0.5',
  'worker.critic.optim.betas':
    'unit/effects/training.test.ts › changes the weights after some steps: worker.critic.optim.betas=[0.5, 0.9]',
  'worker.critic.optim.weight_decay':
    'unit/effects/training.test.ts › changes the weights after some steps: worker.critic.optim.weight_decay=0.5',
  'worker.critic.optim.strategy':
    'unit/effects/training.test.ts › changes the weights after some steps: worker.critic.optim.strategy=adamw_bf16',
  'worker.critic.optim.lr_warmup_ratio':
    'unit/effects/steps.test.ts › changes what is asked: worker.critic.optim.lr_warmup_ratio=0.9',
  'worker.critic.optim.lr_warmup_steps':
    'unit/effects/steps.test.ts › changes what is asked: worker.critic.optim.lr_warmup_steps=8',
  'worker.critic.optim.min_lr_ratio':
    'unit/effects/steps.test.ts › changes the end of a cosine: worker.critic.optim.min_lr_ratio=0.5',
  'worker.critic.optim.warmup_style': named,
  'worker.critic.optim.lr_scheduler_type':
    'unit/effects/steps.test.ts › changes what is asked: worker.critic.optim.lr_scheduler_type=cosine',
  'worker.critic.optim.training_steps': 'unit/config/derive.test.ts › reaches both schedules',
  'worker.critic.fsdp.enable_full_shard': named,
  'worker.critic.fsdp.enable_cpu_offload':
    'unit/actors/critic.test.ts › has its weights in a file where that is asked for: worker.critic.fsdp.enable_cpu_offload',
  'worker.critic.fsdp.enable_rank0_init': named,
  'worker.critic.fsdp.use_orig_params': named,
  'worker.critic.fsdp.torch_dtype':
    'unit/effects/training.test.ts › changes the weights after some steps: worker.critic.fsdp.torch_dtype=bf16',
  'worker.critic.fsdp.fsdp_size': named,
  'worker.critic.fsdp.mp_param_dtype':
    'unit/actors/compute-dtype.test.ts › is what the critic and all who read its weights compute in',
  'worker.critic.fsdp.mp_reduce_dtype':
    'unit/effects/training.test.ts › changes the weights after some steps: worker.critic.fsdp.mp_reduce_dtype=bf16',
  'worker.critic.fsdp.mp_buffer_dtype': named,
  'worker.critic.offload.offload_params':
    'unit/actors/critic.test.ts › has its weights in a file where that is asked for: worker.critic.offload.offload_params',
  'worker.critic.offload.offload_optimizer':
    "unit/effects/training.test.ts › changes where the optimizer's state lies: worker.critic.offload.offload_optimizer=true",
  'worker.critic.global_batch_size_per_device':
    'unit/config/derive.test.ts › copies lengths, KL settings and log-probability settings between sections',
  'worker.ref.strategy': named,
  'worker.ref.fsdp.enable_full_shard': named,
  'worker.ref.fsdp.enable_cpu_offload':
    'unit/actors/policy.test.ts › keeps weights in a file that are asked for there: worker.ROLE.fsdp.enable_cpu_offload',
  'worker.ref.fsdp.enable_rank0_init': named,
  'worker.ref.fsdp.use_orig_params': named,
  'worker.ref.fsdp.torch_dtype':
    'unit/actors/policy.test.ts › gives the reference a copy of weights that are trained, in the type that is asked for',
  'worker.ref.fsdp.fsdp_size': named,
  'worker.ref.fsdp.mp_param_dtype':
    'unit/actors/compute-dtype.test.ts › is what the reference computes in, the policy’s unless it has its own',
  'worker.ref.fsdp.mp_reduce_dtype': named,
  'worker.ref.fsdp.mp_buffer_dtype': named,
  'worker.ref.offload.offload_params':
    'unit/actors/policy.test.ts › keeps weights in a file that are asked for there: worker.ROLE.offload.offload_params',
  'worker.ref.offload.offload_optimizer': named,
  'worker.ref.micro_batch_size_per_device_for_experience':
    'unit/config/derive.test.ts › copies lengths, KL settings and log-probability settings between sections',
  'worker.ref.padding_free':
    'unit/config/derive.test.ts › copies lengths, KL settings and log-probability settings between sections',
  'worker.ref.dynamic_batching':
    'unit/config/derive.test.ts › copies lengths, KL settings and log-probability settings between sections',
  'worker.ref.ulysses_size':
    'unit/config/derive.test.ts › copies lengths, KL settings and log-probability settings between sections',
  'worker.ref.use_torch_compile':
    'unit/config/derive.test.ts › copies lengths, KL settings and log-probability settings between sections',
  'worker.rollout.n': 'unit/effects/steps.test.ts › changes the responses: worker.rollout.n=3',
  'worker.rollout.temperature': [
    'unit/effects/steps.test.ts › changes the responses: worker.rollout.temperature=0.1',
    'unit/effects/steps.test.ts › changes what is asked: worker.rollout.temperature=0.5',
    'unit/effects/training.test.ts › is what logits are divided by: worker.rollout.temperature',
  ],
  'worker.rollout.top_p':
    'unit/effects/steps.test.ts › changes the responses: worker.rollout.top_p=0.1',
  'worker.rollout.top_k':
    'unit/effects/steps.test.ts › changes the responses: worker.rollout.top_k=1',
  'worker.rollout.seed':
    'unit/effects/steps.test.ts › changes the responses: worker.rollout.seed=2',
  'worker.rollout.ignore_eos':
    'unit/effects/steps.test.ts › changes the responses: worker.rollout.ignore_eos=true',
  'worker.rollout.name': named,
  'worker.rollout.limit_images':
    'unit/effects/data.test.ts › changes which prompts are taken: worker.rollout.limit_images=1',
  'worker.rollout.dtype': named,
  'worker.rollout.gpu_memory_utilization': [
    'unit/effects/steps.test.ts › is the share of free memory for the cache: worker.rollout.gpu_memory_utilization',
    'unit/generation/paged-decoder.test.ts › has pages for as many sequences as its share of free memory holds',
  ],
  'worker.rollout.enforce_eager': named,
  'worker.rollout.enable_chunked_prefill': named,
  'worker.rollout.tensor_parallel_size': named,
  'worker.rollout.max_model_len': named,
  'worker.rollout.max_num_batched_tokens': [
    'unit/effects/steps.test.ts › is the longest prefill of the engine: worker.rollout.max_num_batched_tokens',
    'unit/generation/engine.test.ts › gives the same tokens however prompts are divided into prefills',
    'unit/config/unsupported.test.ts › is refused plainly: worker.rollout.max_num_batched_tokens=1000',
  ],
  'worker.rollout.disable_log_stats': named,
  'worker.rollout.disable_tqdm': named,
  'worker.rollout.val_override_config': [
    'unit/effects/steps.test.ts › changes what is asked: worker.rollout.val_override_config={n: 3}',
    'unit/effects/steps.test.ts › changes what is asked: worker.rollout.val_override_config={temperature: 0.5}',
    'unit/effects/steps.test.ts › changes what is asked: worker.rollout.val_override_config={top_p: 0.5}',
    'unit/effects/steps.test.ts › changes what is asked: worker.rollout.val_override_config={top_k: 5}',
    'unit/effects/steps.test.ts › changes what is asked: worker.rollout.val_override_config={seed: 5}',
    'unit/effects/steps.test.ts › changes what is asked: worker.rollout.val_override_config={ignore_eos: true}',
  ],
  'worker.rollout.num_workers':
    'unit/actors/placement.test.ts › gives hosts rollout and reward actors by their slots',
  'worker.rollout.prompt_length':
    'unit/config/derive.test.ts › copies lengths, KL settings and log-probability settings between sections',
  'worker.rollout.response_length':
    'unit/config/derive.test.ts › copies lengths, KL settings and log-probability settings between sections',
  'worker.rollout.trust_remote_code':
    'unit/config/derive.test.ts › copies lengths, KL settings and log-probability settings between sections',
  'worker.reward.reward_type': [
    'unit/effects/rewards.test.ts › reaches those who call a file: worker.reward.reward_type=sequential',
    'integration/rewards.test.ts › are called as reward_type says, or their own REWARD_TYPE',
  ],
  'worker.reward.reward_function': [
    'unit/effects/rewards.test.ts › changes the scores: worker.reward.reward_function=open',
    'integration/rewards.test.ts › score as they are, in batches, with kwargs, and may print',
  ],
  'worker.reward.reward_function_kwargs': [
    'unit/effects/rewards.test.ts › changes the scores: worker.reward.reward_function_kwargs={format_weight: 0.5}',
    'integration/rewards.test.ts › score as they are, in batches, with kwargs, and may print',
  ],
  'worker.reward.skip_special_tokens': [
    'unit/effects/rewards.test.ts › changes the scores: worker.reward.skip_special_tokens=false',
    'integration/rewards.test.ts › see special tokens only where they are not skipped',
  ],
  'worker.reward.num_cpus': [
    'unit/effects/rewards.test.ts › reaches those who call a file: worker.reward.num_cpus=3',
    'integration/rewards.test.ts › get num_cpus as OMP_NUM_THREADS, and no standard input',
  ],
  'worker.reward.num_workers':
    'unit/actors/placement.test.ts › gives hosts rollout and reward actors by their slots',
  'worker.reward.form':
    'unit/effects/rewards.test.ts › changes the scores: worker.reward.form=faithful',
  'worker.reward.gate.rule':
    'unit/effects/rewards.test.ts › changes what a batch is paid: worker.reward.gate.rule=always',
  'worker.reward.gate.key':
    'unit/effects/rewards.test.ts › changes what a batch is paid: worker.reward.gate.key=process',
  'worker.reward.gate.bonus':
    'unit/effects/rewards.test.ts › changes what a batch is paid: worker.reward.gate.bonus=[reason]',
  'worker.reward.timeout_seconds': [
    'unit/effects/rewards.test.ts › reaches those who call a file: worker.reward.timeout_seconds=2',
    'integration/crash.test.ts › cuts a reward function that hangs, after timeout_seconds',
  ],
  'worker.reward.invalid_responses': [
    'unit/effects/rewards.test.ts › reaches those who call a file: worker.reward.invalid_responses=skip',
    'integration/rewards.test.ts › train on without the responses that cannot be scored, and count them',
  ],
  'worker.reward.python': [
    'unit/effects/rewards.test.ts › reaches those who call a file: worker.reward.python=python3.12',
    'integration/rewards.test.ts › say in one sentence what keeps them from starting',
  ],
  'worker.reward.reward_function_name':
    'unit/config/derive.test.ts › splits a reward file from its function at the last colon',
  'trainer.total_epochs': [
    'integration/training.test.ts › goes through its epochs, without a validation before where it is told so',
    'unit/config/derive.test.ts › counts whole batches of every epoch',
  ],
  'trainer.max_steps': [
    'integration/training.test.ts › warms up on solutions, learns by GRPO, and leaves its files and no thread',
    'unit/config/derive.test.ts › is max_steps where that is set',
  ],
  'trainer.project_name':
    'integration/tracking.test.ts › goes to every logger that is listed, under the names of the reference',
  'trainer.experiment_name':
    'integration/tracking.test.ts › goes to every logger that is listed, under the names of the reference',
  'trainer.logger':
    'integration/tracking.test.ts › goes to every logger that is listed, under the names of the reference',
  'trainer.nnodes': [
    'unit/actors/placement.test.ts › refuses fewer hosts than are to train',
    'unit/config/derive.test.ts › is the number of hosts on CPUs, of GPUs where they train, and else what is said',
  ],
  'trainer.n_gpus_per_node': [
    'unit/actors/this-machine.test.ts › is all cards of the machine, up to the number that is wanted',
    'unit/config/derive.test.ts › is the number of hosts on CPUs, of GPUs where they train, and else what is said',
  ],
  'trainer.max_try_make_batch':
    'unit/actors/batch.test.ts › gives up after max_try_make_batch rounds, and says what to change',
  'trainer.critic_warmup': [
    'unit/effects/steps.test.ts › holds the policy back, and not the critic: trainer.critic_warmup=5',
    'integration/critic.test.ts › holds the policy back until the critic has warmed up',
  ],
  'trainer.val_freq':
    'integration/training.test.ts › warms up on solutions, learns by GRPO, and leaves its files and no thread',
  'trainer.val_before_train':
    'integration/training.test.ts › goes through its epochs, without a validation before where it is told so',
  'trainer.val_only':
    'integration/tracking.test.ts › is nothing but a validation with val_only, and leaves no checkpoint',
  'trainer.val_generations_to_log':
    'integration/tracking.test.ts › goes to every logger that is listed, under the names of the reference',
  'trainer.save_freq':
    'integration/training.test.ts › warms up on solutions, learns by GRPO, and leaves its files and no thread',
  'trainer.save_limit':
    'integration/resume.test.ts › keeps the newest checkpoints and the best one',
  'trainer.best_metric':
    'integration/tracking.test.ts › goes to every logger that is listed, under the names of the reference',
  'trainer.console_form':
    'integration/tracking.test.ts › goes to every logger that is listed, under the names of the reference',
  'trainer.save_model_only': [
    'integration/resume.test.ts › starts afresh where it is not to look for a checkpoint, and saves weights alone if told so',
    'unit/actors/restore.test.ts › is refused where it is of weights alone, with what to do with it',
  ],
  'trainer.save_checkpoint_path':
    'unit/config/derive.test.ts › names the run’s folder after project and experiment unless told',
  'trainer.load_checkpoint_path':
    'integration/resume.test.ts › begins at the checkpoint it is given, and forgets the steps after it',
  'trainer.find_last_checkpoint':
    'integration/resume.test.ts › starts afresh where it is not to look for a checkpoint, and saves weights alone if told so',
  'trainer.ray_timeline':
    'integration/tracking.test.ts › goes to every logger that is listed, under the names of the reference',
  'trainer.profile':
    'integration/tracking.test.ts › goes to every logger that is listed, under the names of the reference',
  'trainer.device': 'unit/config/unsupported.test.ts › is refused plainly: trainer.device=webgpu',
  'trainer.threads':
    'unit/actors/policy.test.ts › is computed with as many threads as are asked for',
  'trainer.seed': [
    'unit/effects/steps.test.ts › changes the responses: trainer.seed=2',
    'unit/actors/policy.test.ts › draws adapters from the seed, and divides them among the learners',
  ],
  'transport.collectives':
    'unit/effects/steps.test.ts › changes how learners join each other: transport.collectives=mpi',
  'sft.train_files': 'integration/adapters.test.ts › makes a warm start of a merged model',
  'sft.val_files':
    "unit/config/derive.test.ts › holds out the validation set of data, but not beside a training set of sft's own",
  'sft.val_freq':
    'integration/training.test.ts › warms up on solutions, learns by GRPO, and leaves its files and no thread',
  'sft.epochs': 'integration/adapters.test.ts › makes a warm start of a merged model',
  'sft.max_steps':
    'integration/training.test.ts › warms up on solutions, learns by GRPO, and leaves its files and no thread',
  'sft.batch_size': 'integration/adapters.test.ts › makes a warm start of a merged model',
  'sft.micro_batch_size':
    'unit/effects/training.test.ts › changes how reference answers are divided: sft.micro_batch_size=2',
  'sft.lr':
    'unit/actors/schedule.test.ts › of supervised training rise over its own warm-up, and stay',
  'sft.lr_warmup_steps':
    'unit/actors/schedule.test.ts › of supervised training rise over its own warm-up, and stay',
  'sft.save_checkpoint_path': 'integration/adapters.test.ts › makes a warm start of a merged model',
  curriculum:
    'integration/curriculum.test.ts › trains stage after stage and says what each came to',
  'curriculum[].name':
    'unit/config/curriculum.test.ts › gives each stage the whole config with its own keys over it',
  'curriculum[].data':
    'unit/config/curriculum.test.ts › gives each stage the whole config with its own keys over it',
  'curriculum[].reward':
    'unit/config/curriculum.test.ts › gives each stage the whole config with its own keys over it',
  'curriculum[].epochs':
    'unit/config/curriculum.test.ts › gives each stage the whole config with its own keys over it',
  'curriculum[].steps':
    'unit/config/curriculum.test.ts › gives each stage the whole config with its own keys over it',
  'curriculum[].advance.metric': [
    'integration/curriculum.test.ts › ends a stage as soon as its rule holds, with a validation and a checkpoint',
    'unit/training/advance.test.ts › leaves the mean alone at steps without the metric',
  ],
  'curriculum[].advance.above':
    'unit/training/advance.test.ts › holds at the threshold, from either side, and not before enough steps',
  'curriculum[].advance.below':
    'unit/training/advance.test.ts › holds at the threshold, from either side, and not before enough steps',
  'curriculum[].advance.ema_alpha':
    'unit/training/advance.test.ts › follows the running mean, from the first value on',
  'curriculum[].advance.min_steps':
    'unit/training/advance.test.ts › holds at the threshold, from either side, and not before enough steps',
  'curriculum[].mix':
    'integration/curriculum.test.ts › goes on with the data of an earlier stage, which has its share of every step',
  'curriculum[].overrides':
    'unit/config/curriculum.test.ts › gives each stage the whole config with its own keys over it',
};
