// The picker's words in English and Chinese, after ComfyUI's own setting of the language.

/** @typedef {import("../../tests/web/comfyui").ComfyApp} ComfyApp */

const ENGLISH = {
  canvas: "Focus picker: click what is to be sharp",
  open: "Focus by clicking ▾",
  openTitle: "Show the picture and click what is to be sharp",
  foldTitle: "Fold the picture",
  subject: "Subject",
  subjectTitle: "Find the subject: focus_mode automatic (key S)",
  live: "Live",
  liveTitle: "Render a draft after each change, of this branch alone",
  holdAfter: "Hold: after",
  holdBefore: "Hold: before",
  holdTitle: "Hold to see the result of the last run (key B)",
  after: "after",
  before: "before",
  runOnce: "Run once to see the picture here",
  nextRun: "The picture comes with the next run",
  hint: "Click what is to be sharp; drag the ring for strength.",
  hintBeforeRun: "{hint} Depth is shown after a run.",
  sharpAt: "Sharp at {where}.",
  sharpAtRelative: "Sharp at {where} (depth has no metres).",
  linked: "The focus comes from a link; unlink it to click here.",
  track: "Focus Pull decides what is sharp; unlink focus to click here.",
  mask: "focus_mask decides what is sharp. {at}",
  distance: "focus_distance decides. {at} A click takes over.",
  automatic: "Automatic focus. {at} Click to choose a point.",
  automaticBeforeRun: "Automatic: the run finds the subject. Click to choose a point.",
  nearness: "nearness {share} %",
  strength: "strength {value} {unit}",
  strengthBy: "strength {share} % by {by}",
  atInfinity: "{text} · {share} % blur at ∞",
  noDraft: "The draft was not queued: {error}",
  notInPrompt: "Live: switch this node on (mute and bypass leave it out of the run).",
  frame: "Frame",
  scrub: "frame {frame} / {last}",
  scrubTitle: "Look at another frame of the last run (keys , and .)",
  frameTitle: "Frame that a click sets, counted from 0",
  keyBefore: "Keyframe before",
  keyAfter: "Next keyframe; beyond the last one, 24 frames on",
  removeKey: "Remove this keyframe",
  subjectKeyTitle: "Follow the subject from this frame on (key S); needs a mask at subject",
  holdDepth: "Hold: depth",
  holdDepthTitle: "Hold to see the depth (key B)",
  depth: "depth",
  pullLinked: "keyframes come from a link; unlink it to click here.",
  pullUnread: "keyframes: mend \"{text}\"; it cannot be read.",
  pullFollows: "The subject is followed all the time, since no keyframe says subject.",
  pullKey: "Keyframe {frame}. {at} A click moves it, the ring keys its strength.",
  pullSubject: "Frame {frame}: the subject is in focus. Click to focus on a point.",
  pullBetween: "Frame {frame}, between keyframes. {at} A click makes it one.",
};

/** @type {Record<keyof typeof ENGLISH, string>} */
const CHINESE = {
  canvas: "对焦选择：点击应清晰的位置",
  open: "点击对焦 ▾",
  openTitle: "显示图片，点击应清晰的位置",
  foldTitle: "收起图片",
  subject: "主体",
  subjectTitle: "自动寻找主体：focus_mode 设为 automatic（按键 S）",
  live: "实时",
  liveTitle: "每次改动后渲染草稿，只运行这一分支",
  holdAfter: "按住：效果",
  holdBefore: "按住：原图",
  holdTitle: "按住查看上次运行的结果（按键 B）",
  after: "效果",
  before: "原图",
  runOnce: "运行一次后，图片显示在这里",
  nextRun: "图片将在下次运行后显示",
  hint: "点击应清晰的位置；拖动圆环调节强度。",
  hintBeforeRun: "{hint}运行后显示深度。",
  sharpAt: "清晰于 {where}。",
  sharpAtRelative: "清晰于 {where}（深度不以米为单位）。",
  linked: "焦点由连线提供；断开后可在此点击。",
  track: "清晰位置由“移焦”决定；断开 focus 后可在此点击。",
  mask: "清晰位置由 focus_mask 决定。{at}",
  distance: "由 focus_distance 决定。{at}点击即改用该点。",
  automatic: "自动对焦。{at}点击可选择一点。",
  automaticBeforeRun: "自动：运行时寻找主体。点击可选择一点。",
  nearness: "近度 {share} %",
  strength: "强度 {value} {unit}",
  strengthBy: "强度 {share} %，由{by}决定",
  atInfinity: "{text} · 无穷远处虚化 {share} %",
  noDraft: "草稿未能加入队列：{error}",
  notInPrompt: "实时：请启用此节点（静音或绕过的节点不会运行）。",
  frame: "帧",
  scrub: "第 {frame} / {last} 帧",
  scrubTitle: "查看上次运行的其他帧（按键 , 和 .）",
  frameTitle: "点击所设定的帧，从 0 数起",
  keyBefore: "上一个关键帧",
  keyAfter: "下一个关键帧；最后一个之后则前进 24 帧",
  removeKey: "删除此关键帧",
  subjectKeyTitle: "从此帧起跟随主体（按键 S）；需要在 subject 连接遮罩",
  holdDepth: "按住：深度",
  holdDepthTitle: "按住查看深度（按键 B）",
  depth: "深度",
  pullLinked: "关键帧由连线提供；断开后可在此点击。",
  pullUnread: "keyframes：请修改“{text}”，无法识别。",
  pullFollows: "没有关键帧写 subject，因此始终跟随主体。",
  pullKey: "关键帧 {frame}。{at}点击可移动，圆环设定其强度。",
  pullSubject: "第 {frame} 帧：焦点在主体上。点击可改为一点。",
  pullBetween: "第 {frame} 帧，在关键帧之间。{at}点击可设为关键帧。",
};

/** @typedef {keyof typeof ENGLISH} TextName */

let language = "en";

/**
 * Follow ComfyUI's setting of the language; return which one is spoken.
 * @param {ComfyApp} app
 */
export function followLanguage(app) {
  const set = app.extensionManager?.setting?.get?.("Comfy.Locale") ??
    app.ui?.settings?.getSettingValue?.("Comfy.Locale");
  language = typeof set === "string" && set.startsWith("zh") ? "zh" : "en";
  return language;
}

/**
 * Return a text in the page's language, its places filled in. A place that is empty takes the
 * space beside it away.
 * @param {TextName} name
 * @param {Record<string, string | number>} [values]
 */
export function say(name, values = {}) {
  const text = (language === "zh" ? CHINESE : ENGLISH)[name];
  return text.replace(/\{(\w+)\}/g, (_, key) => `${values[key] ?? ""}`).replace(/ {2,}/g, " ").trim();
}

/** Return the names and texts of every language, for the test that compares them. */
export function allTexts() {
  return { en: ENGLISH, zh: CHINESE };
}
