// SPDX-License-Identifier: Apache-2.0
// A mesh, textured on a Flamenco farm: a task for each seed. README.md says how.

const JOB_TYPE = {
    label: "PGC Texture",
    description: "Texture a mesh from a prompt",
    settings: [
        { key: "mesh", type: "string", subtype: "file_path", required: true,
          description: "OBJ, GLB, glTF, PLY or STL file, on storage that all workers see" },
        { key: "prompt", type: "string", required: true,
          description: "What the texture is to be, such as 'red bricks'" },
        { key: "output", type: "string", subtype: "dir_path", required: true,
          description: "Folder for the results, on the same storage; each seed gets a folder in it" },
        { key: "first_seed", type: "int32", default: 1, propargs: { min: 0 },
          description: "Seed of the first variation" },
        { key: "variations", type: "int32", default: 1, propargs: { min: 1, max: 1000 },
          description: "How many, each of a seed of its own" },
        { key: "preset", type: "string", default: "standard", choices: ["draft", "standard", "fine"],
          description: "How much time it may take" },
        { key: "maps", type: "string", default: "base_color",
          description: "What is made, such as: base_color,roughness,metallic,normal" },
        { key: "model", type: "string", default: "pocket",
          description: "The model, as pgc texture --guidance takes it" },
    ],
};

function compileJob(job) {
    const settings = job.settings;
    for (const key of ["mesh", "prompt", "output"]) {
        if (!String(settings[key] || "").trim()) {
            throw `The setting "${key}" is empty; a job needs a mesh, a prompt and a folder for the results.`;
        }
    }
    if (!(settings.variations >= 1)) {
        throw `The setting "variations" is ${settings.variations}; expected 1 or more.`;
    }
    for (let index = 0; index < settings.variations; index++) {
        job.addTask(textureTask(settings, settings.first_seed + index));
    }
}

function textureTask(settings, seed) {
    // Workers take a task of this type only where their configuration names it: not all of them have the program.
    const task = author.Task(`texture-${seed}`, "pgc");
    task.addCommand(author.Command("exec", {
        // A variable of the Manager's configuration, by platform.
        exe: "{pgc}",
        args: [
            "texture", settings.mesh,
            "--prompt", settings.prompt,
            "--out", path.join(settings.output, `seed-${seed}`),
            "--seed", String(seed),
            "--preset", settings.preset,
            "--maps", settings.maps,
            "--guidance", settings.model,
            // A task that failed or whose worker was lost is run again: it goes on from its last checkpoint.
            "--resume-or-start",
        ],
    }));
    return task;
}
