"use strict";
// Draws the volumes of a case with NiiVue. Volumes are scripts that call unetBundlesVolume, since a
// page that is opened from disk may load scripts and nothing else.
(() => {
  const told = JSON.parse(document.getElementById("case").textContent);
  const canvas = document.getElementById("viewer");
  const message = document.getElementById("message");
  const form = document.querySelector(".controls");
  const element = (id) => document.getElementById(id);

  const arrived = {};
  window.unetBundlesVolume = (key, base64) => {
    arrived[key] = base64;
  };

  const script = (file) =>
    new Promise((resolve, reject) => {
      const tag = document.createElement("script");
      tag.src = file;
      tag.onload = resolve;
      tag.onerror = () => reject(new Error(`cannot load ${decodeURIComponent(file)}`));
      document.head.append(tag);
    });

  const volumes = {};
  const volume = (key) => {
    volumes[key] ??= script(`${told.files}${key}.js`).then(() => {
      const base64 = arrived[key];
      delete arrived[key];
      return niivue.NVImage.loadFromBase64({ base64, name: `${key}.nii.gz` });
    });
    return volumes[key];
  };

  const chosen = (name) => form.elements[name].value;
  const regions = () => {
    const names = new Set([...form.querySelectorAll("[name=region]:checked")].map((box) => box.value));
    return told.regions.filter((region) => names.has(region.name));
  };
  const rgb = (colour) => [1, 3, 5].map((i) => Number.parseInt(colour.slice(i, i + 2), 16));

  const colormap = (colours) => {
    const map = { R: [], G: [], B: [], A: [], I: [], labels: [] };
    colours.forEach((colour, code) => {
      const [red, green, blue] = rgb(colour ?? "#000000");
      map.R.push(red);
      map.G.push(green);
      map.B.push(blue);
      map.A.push(colour ? 255 : 0);
      map.I.push(code);
      map.labels.push("");
    });
    return map;
  };

  // Regions come largest first, so the smallest that holds a code colours it.
  const colourOfCodes = () => {
    const colours = told.names.map(() => null);
    for (const region of regions()) for (const code of region.codes) colours[code] = region.colour;
    return colours;
  };

  const DIFFERENCE = [null, "#999999", "#56B4E9", "#D55E00"];
  let difference;
  const differing = async () => {
    const [prediction, reference] = await Promise.all([volume("prediction"), volume("reference")]);
    difference ??= reference.clone();
    const inside = new Uint8Array(256);
    for (const region of regions()) for (const code of region.codes) inside[code] = 1;
    const codes = new Uint8Array(prediction.img.length);
    for (let i = 0; i < codes.length; i++) {
      const [predicted, real] = [inside[prediction.img[i]], inside[reference.img[i]]];
      codes[i] = predicted ? (real ? 1 : 3) : real ? 2 : 0;
    }
    difference.img = codes;
    return difference;
  };

  const overlay = async () => {
    const name = chosen("labels");
    if (name === "none") return [];
    const image = name === "difference" ? await differing() : await volume(name);
    image.setColormapLabel(colormap(name === "difference" ? DIFFERENCE : colourOfCodes()));
    image.opacity = element("opacity").value / 100;
    return [image];
  };

  const viewer = new niivue.Niivue({
    isRadiologicalConvention: true,
    crosshairColor: [1, 1, 1, 0.6],
    crosshairWidth: 0.3,
    crosshairWidthUnit: "percent", // of the image's extent; a voxel would be broad in a small image
    crosshairGap: 6,
    backColor: [0, 0, 0, 1],
    fontColor: [0.85, 0.85, 0.85, 1],
    dragAndDropEnabled: false,
    multiplanarShowRender: 0,
    isOrientationTextVisible: true,
    logLevel: "warn",
    loadingText: "",
  });

  const moveTo = (mm) => {
    viewer.scene.crosshairPos = viewer.mm2frac(mm, 0, true); // true: oblique axes are not straightened
    viewer.createOnLocationChange();
    viewer.drawScene();
  };

  viewer.onLocationChange = ({ mm, values }) => {
    for (const axis of [0, 1, 2]) {
      const input = element(`mm${axis}`);
      if (input !== document.activeElement) input.value = mm[axis].toFixed(1);
    }
    const image = told.modalities[chosen("image")];
    const parts = [`${image} ${Number(values[0].value.toPrecision(4))}`];
    const name = chosen("labels");
    if (values.length > 1 && name !== "difference") parts.push(`${name}: ${told.names[values[1].value]}`);
    element("place").textContent = parts.join(", ");
  };

  // Only the last of several quick changes is drawn.
  let asked = 0;
  const show = async () => {
    const turn = ++asked;
    element("legend").hidden = chosen("labels") !== "difference";
    const [image, overlays] = await Promise.all([volume(`image${chosen("image")}`), overlay()]);
    if (turn !== asked) return;
    viewer.volumes = [image, ...overlays];
    viewer.setVolume(image, 0);
    viewer.createOnLocationChange();
    canvas.dataset.drawn = turn;
  };

  const fail = (error) => {
    message.textContent = `${error.message}. The picture is a still one.`;
    const still = canvas.querySelector("img");
    canvas.hidden = true;
    canvas.parentElement.classList.add("still");
    canvas.before(still);
  };

  const STEPS = {
    ArrowLeft: [1, 0, 0], ArrowRight: [-1, 0, 0], ArrowUp: [0, 1, 0], ArrowDown: [0, -1, 0],
    PageUp: [0, 0, 1], PageDown: [0, 0, -1],
  };
  canvas.addEventListener("keydown", (event) => {
    const step = STEPS[event.key];
    if (!step || !viewer.volumes.length) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    viewer.moveCrosshairInVox(...step);
  });

  const start = async () => {
    if (!document.createElement("canvas").getContext("webgl2")) throw new Error("This browser has no WebGL 2");
    await viewer.attachToCanvas(canvas);
    viewer.setSliceType(Number(element("plane").value));
    await show();
    moveTo(told.focus);
    message.textContent = "";
    for (const input of form.querySelectorAll("[type=radio], [type=checkbox]")) {
      input.addEventListener("change", () => show().catch(fail));
    }
    element("opacity").addEventListener("input", () => show().catch(fail));
    element("plane").addEventListener("change", (event) => viewer.setSliceType(Number(event.target.value)));
    for (const axis of [0, 1, 2]) {
      element(`mm${axis}`).addEventListener("change", () => {
        const mm = [0, 1, 2].map((i) => element(`mm${i}`).valueAsNumber);
        if (mm.every(Number.isFinite)) moveTo(mm);
      });
    }
    form.addEventListener("submit", (event) => event.preventDefault());
    document.documentElement.dataset.ready = "true";
  };
  start().catch(fail);
})();
