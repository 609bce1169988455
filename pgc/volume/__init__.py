# SPDX-License-Identifier: Apache-2.0
"""A first mesh from a word: a volume that a teacher's gradients shape, its surface, and a texture on that.

    request = VolumeRequest(prompt=Prompt(text="a red vase"), settings=volume_settings(spec, "a red vase"), prior=spec)
    imagine(request, load_guidance(spec, device), folder, VolumeHooks())             (`runner`)

or, with a loop of one's own and any teacher,

    run = prepare_volume(guidance, prompt, settings)                                 (`prepared`)
    for result in run.loop.steps(): ...
    mesh = surface_mesh(volume_surface(run.scene.volume, settings.surface), "name")  (`surface`)

    light, occupancy             light along rays, empty space left out; the lamp, and penalties on what rays meet
    field, volume                density and colour of a place; what cameras see of them
    views                        a step's picture: the loop's subject
    start                        what a volume begins as
    settings, prepared           presets; a run that can begin
    request, memory              what is asked for, and its checkpoint; what it needs of a card
    surface, outcome, finish     a closed mesh, files, the texture run
"""
