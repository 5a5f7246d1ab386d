# Render: images of the original model and of every fine-tuned one, in shards. General prompts are the same for all concepts, and
# the original model draws them once. Of its images of pairs and target prompts, the image tokens are saved too: other jobs go on
# from them. They follow from the weights, the prompts and the sampling alone, so that nothing else runs those jobs again. What is
# left to the original are few images, all drawn by one job that loads the model.


rule render_pairs:
    input:
        backbone=BACKBONE_FILE,
        candidates=paths.candidates("{concept}"),
    output:
        manifest=paths.pair_manifest("{concept}"),
        tokens=paths.pair_tokens("{concept}"),
    params:
        code=code("images_render_with_tokens"),
        backbone=DRAWING,
        sampling=SAMPLING,
        guidance=experiment.sampling.guidance,
        threads=experiment.backbone.threads,
    log:
        paths("logs/render_pairs-{concept}.log"),
    benchmark:
        paths("benchmarks/render_pairs-{concept}.tsv")
    threads: experiment.backbone.threads
    resources:
        **with_backbone("render_pairs-{concept}", 60),
    conda:
        "../envs/ear.yaml"
    message:
        "render images of the pairs of {wildcards.concept}"
    script:
        "../scripts/images_render_with_tokens.py"


use rule render_pairs as render_targets with:
    input:
        backbone=BACKBONE_FILE,
        prompts=paths.evaluation_prompts("{concept}"),
    output:
        manifest=paths.target_manifest("{concept}"),
        tokens=paths.target_tokens("{concept}"),
    log:
        paths("logs/render_targets-{concept}.log"),
    benchmark:
        paths("benchmarks/render_targets-{concept}.tsv")
    resources:
        **with_backbone("render_targets-{concept}", 120),
    message:
        "render images of target prompts of {wildcards.concept} · original"


rule render_images:
    input:
        backbone=BACKBONE_FILE,
        prompts=paths.evaluation_prompts("{concept}"),
        captioned=paths.captioned,
        edited_weights=edited_weights_of,
        tokens=[paths.target_tokens("{concept}")] if CONDITIONS["prefixes"] else [],
    output:
        manifests=[images("shard{shard}/manifest.csv")],
        captions=[images("shard{shard}/captions.csv")] if CAPTIONED else [],
        answers=[images("shard{shard}/answers.csv")] if ASKED else [],
    params:
        code=code("images_render_images"),
        backbone=DRAWING,
        sampling=SAMPLING,
        guidance=experiment.sampling.guidance,
        negative=negative_prompt,
        shards=experiment.rendering.shards,
        question=experiment.utility.question,
        questions=questions_of,
        window_prompts=experiment.evaluation.window_prompts,
        axes=CONDITIONS,
        samples=experiment.axes.samples,
        threads=experiment.backbone.threads,
    log:
        paths("logs/render_images-{concept}-{method}-{seed}-{shard}.log"),
    benchmark:
        paths("benchmarks/render_images-{concept}-{method}-{seed}-{shard}.tsv")
    threads: experiment.backbone.threads
    resources:
        **with_backbone("render_images-{concept}-{method}-{seed}-{shard}", 120),
    conda:
        "../envs/ear.yaml"
    wildcard_constraints:
        method=ERASING,
    message:
        "render images of {wildcards.concept} · {wildcards.method} · seed {wildcards.seed} · shard {wildcards.shard}"
    script:
        "../scripts/images_render_images.py"


use rule render_images as render_general with:
    input:
        backbone=BACKBONE_FILE,
        prompts=paths.general_prompts,
        captioned=paths.captioned,
    output:
        manifests=[paths.general("{shard}", "manifest.csv")],
        captions=[paths.general("{shard}", "captions.csv")] if CAPTIONED else [],
        answers=[],
    params:
        negative=None,
        questions=None,
        window_prompts=0,
        axes=None,
        samples=1,
    log:
        paths("logs/render_general-{shard}.log"),
    benchmark:
        paths("benchmarks/render_general-{shard}.tsv")
    resources:
        **with_backbone("render_general-{shard}", 120),
    message:
        "render images of general prompts · original · shard {wildcards.shard}"


use rule render_images as render_original with:
    input:
        backbone=BACKBONE_FILE,
        prompts=paths.evaluation_prompts("{concept}"),
        candidates=paths.candidates("{concept}"),
        captioned=paths.captioned if ASKED else [],
        shared=[
            paths.target_manifest("{concept}"),
            *(paths.general(shard, "manifest.csv") for shard in SHARDS),
        ],
        tokens=(
            [paths.target_tokens("{concept}"), paths.pair_tokens("{concept}")]
            if CONDITIONS["prefixes"]
            else []
        ),
    output:
        manifests=[images(f"shard{shard}/manifest.csv") for shard in SHARDS],
        captions=[],
        answers=[images(f"shard{shard}/answers.csv") for shard in SHARDS if ASKED],
    params:
        negative=None,
        question=None,
        window_prompts=0,
    log:
        paths("logs/render_original-{concept}-{method}-{seed}.log"),
    benchmark:
        paths("benchmarks/render_original-{concept}-{method}-{seed}.tsv")
    resources:
        **with_backbone("render_original-{concept}-{method}-{seed}", 120),
    wildcard_constraints:
        method=ORIGINAL,
    message:
        "render images of {wildcards.concept} · {wildcards.method}"


rule render_diffusion:
    input:
        pipeline=paths.asset("stable-diffusion"),
        prompts=paths.evaluation_prompts("{concept}"),
    output:
        manifest=images("shard{shard}/manifest.csv"),
    params:
        code=code("images_render_diffusion"),
        device=experiment.backbone.device,
        dtype=experiment.backbone.dtype,
        experiment_seed=experiment.seed,
        diffusion=lambda wildcards: experiment.methods[wildcards.method].diffusion.model_dump(),
        shards=experiment.rendering.shards,
        threads=experiment.backbone.threads,
    log:
        paths("logs/render_diffusion-{concept}-{method}-{seed}-{shard}.log"),
    benchmark:
        paths("benchmarks/render_diffusion-{concept}-{method}-{seed}-{shard}.tsv")
    threads: experiment.backbone.threads
    resources:
        gpu=GPU,
        mem_mb=growing(8000),
        runtime=planned("render_diffusion-{concept}-{method}-{seed}-{shard}", 120),
        batch_size=experiment.rendering.batch_size,
    conda:
        "../envs/ear.yaml"
    wildcard_constraints:
        method=BY_DIFFUSION,
    message:
        "render images of {wildcards.concept} · {wildcards.method} · shard {wildcards.shard}"
    script:
        "../scripts/images_render_diffusion.py"


# Images that were made elsewhere: a change of one of them judges all of the method's again.


rule import_images:
    input:
        prompts=paths.evaluation_prompts("{concept}"),
        images=lambda wildcards: images_from(
            Path(experiment.methods[wildcards.method].images, wildcards.concept)
        ),
    output:
        manifests=[images(f"shard{shard}/manifest.csv") for shard in SHARDS],
    params:
        code=code("images_import_images"),
        folder=lambda wildcards: experiment.methods[wildcards.method].images,
        experiment_seed=experiment.seed,
        samples=experiment.axes.samples,
        threads=experiment.backbone.threads,
    log:
        paths("logs/import_images-{concept}-{method}-{seed}.log"),
    benchmark:
        paths("benchmarks/import_images-{concept}-{method}-{seed}.tsv")
    threads: experiment.backbone.threads
    resources:
        mem_mb=growing(2000),
        runtime=growing(60),
    conda:
        "../envs/ear.yaml"
    wildcard_constraints:
        method=FROM_ELSEWHERE,
    message:
        "import images of {wildcards.concept} · {wildcards.method}"
    script:
        "../scripts/images_import_images.py"
