// What the pack's JavaScript uses of ComfyUI's front end, from 1.27 to 1.58. Types for tsc alone.

export interface ComfyWidget {
  name: string;
  type?: string;
  value: unknown;
  options?: Record<string, any>;
  callback?: (value?: unknown) => void;
  serialize?: boolean;
  advanced?: boolean;
  element?: HTMLElement;
  onRemove?: () => void;
  computedHeight?: number;
  y?: number;
}

export interface ComfySlot {
  name: string;
  link?: number | null;
  links?: number[] | null;
  widget?: { name: string };
  hasErrors?: boolean;
}

/** Why ComfyUI did not queue a graph, by node. */
export type NodeErrors = Record<string, {
  errors: {
    type?: string;
    details?: string;
    extra_info?: {
      input_name?: string;
      received_value?: unknown;
      input_config?: [unknown, { min?: number; max?: number }] | null;
    };
  }[];
}>;

export interface ComfyLink {
  origin_id: number | string;
  target_id: number | string;
  target_slot?: number;
}

export interface ComfyGraph {
  id?: string;
  rootGraph?: ComfyGraph;
  isRootGraph?: boolean;
  nodes?: ComfyNode[];
  inputs?: { linkIds?: number[] }[]; // of a subgraph
  links?: Map<number, ComfyLink> | Record<number, ComfyLink>;
  getNodeById(id: number | string): ComfyNode | null;
}

export interface ComfyNode {
  id: number | string;
  comfyClass?: string;
  subgraph?: ComfyGraph; // of a node that stands for one
  graph?: ComfyGraph | null;
  inputs?: ComfySlot[];
  outputs?: ComfySlot[];
  widgets?: ComfyWidget[];
  properties: Record<string, unknown>;
  size: [number, number];
  mode?: number;
  showAdvanced?: boolean;
  color?: string;
  bgcolor?: string;
  constructor: { nodeData?: { output_node?: boolean } };
  configure(saved: object): unknown;
  addTitleButton?(button: object): ComfyTitleButton;
  onTitleButtonClick?(button: ComfyTitleButton, canvas: object): void;
  onExecuted?: (output: Record<string, any>) => void;
  onRemoved?: () => void;
  onConfigure?: (saved: object) => void;
  onSerialize?: (saved: { size: [number, number] }) => void;
  addWidget(
    type: string,
    name: string,
    value: unknown,
    callback: () => void,
    options?: object,
  ): ComfyWidget;
  addDOMWidget(name: string, type: string, element: HTMLElement, options: object): ComfyWidget;
  getLayoutWidgets?(): ComfyWidget[]; // rows that the classic canvas lays out; not in 1.27
  isWidgetVisible?(widget: ComfyWidget): boolean;
  isWidgetRowVisible?(widget: ComfyWidget): boolean; // in place of the other one, from 1.58 on
  toggleAdvanced?(): void;
  computeSize(...given: unknown[]): [number, number];
  setSize(size: [number, number]): void;
  setDirtyCanvas?(front: boolean, back: boolean): void;
}

export interface ComfyTitleButton {
  name?: string;
  text: string; // of PrimeIcons
}

export interface ApiPrompt {
  output: Record<string, { class_type: string; inputs: Record<string, unknown> }>;
  workflow: object;
}

export interface ComfyApi extends EventTarget {
  apiURL(route: string): string;
  fetchApi(route: string, options?: RequestInit): Promise<Response>;
  getWorkflowTemplates?(): Promise<Record<string, string[]>>;
  queuePrompt(
    number: number,
    prompt: ApiPrompt,
    options?: { partialExecutionTargets?: string[] },
  ): Promise<{ prompt_id?: string }>;
}

export interface ComfyApp {
  registerExtension(extension: {
    name: string;
    setup?: () => void;
    nodeCreated?: (node: ComfyNode) => void;
  }): void;
  graph?: ComfyGraph;
  graphToPrompt(): Promise<ApiPrompt>;
  readonly lastNodeErrors?: NodeErrors | null;
  loadApiJson?: (...args: unknown[]) => unknown;
  nodeOutputs?: Record<string, Record<string, any> | undefined>;
  canvas?: {
    graph?: ComfyGraph | null;
    default_connection_color_byType?: Record<string, string>;
    ds?: { scale: number };
    emitBeforeChange?(): void;
    emitAfterChange?(): void;
    processMouseWheel?(event: WheelEvent): void;
  };
  ui?: { settings?: { getSettingValue?(name: string): unknown } };
  extensionManager?: {
    toast?: { add?(message: { severity: string; summary: string; detail: string }): void };
    setting?: { get?(name: string): unknown };
  };
}

/** What the front end keeps of a node's schema; the search asks it to judge its scores. */
export interface NodeDefinition {
  name: string;
  postProcessSearchScores?(scores: number[]): number[];
}

declare global {
  interface Window {
    LiteGraph?: {
      registered_node_types?: Record<string, { nodeData?: NodeDefinition }>;
      vueNodesMode?: boolean; // Nodes 2.0
    };
  }
}
