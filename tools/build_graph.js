// Builds a graph in ComfyUI's page from columns of nodes, lays it out, and tells the ids of its nodes by name.
// Widgets of a dynamic combo come and go with its value, so values are set in the order given.
async ({columns, gaps, pack}) => {
  const empty = {version: 0.4, last_node_id: 0, last_link_id: 0, nodes: [], links: [], groups: [], config: {}, extra: {}};
  await app.loadGraphData(empty, true, true, 'new');
  const made = {};
  for (const column of columns) {
    for (const [name, spec] of column) {
      const node = LiteGraph.createNode(spec.kind);
      if (!node) throw new Error(`no node ${spec.kind}`);
      app.graph.add(node);
      made[name] = node;
      if (spec.title) node.title = spec.title;
      for (const [key, value] of Object.entries(spec.widgets)) {
        const widget = key ? node.widgets.find(w => w.name === key) : node.widgets[0];
        if (!widget) throw new Error(`${spec.kind} has no widget ${key}: ${node.widgets.map(w => w.name)}`);
        widget.value = value;
        widget.callback?.(value);
        await new Promise(done => setTimeout(done, 30));
      }
      if (spec.models.length) node.properties.models = spec.models;
    }
  }
  for (const column of columns) for (const [name, spec] of column) for (const [input, [from, output]] of Object.entries(spec.links)) {
    const to = made[name], source = made[from];
    const slot = to.inputs.findIndex(i => i.name === input), out = source.outputs.findIndex(o => o.name === output);
    if (slot < 0 || out < 0) throw new Error(`${spec.kind}.${input} <- ${from}.${output}: ${to.inputs.map(i => i.name)} / ${source.outputs.map(o => o.name)}`);
    source.connect(out, to, slot);
    await new Promise(done => setTimeout(done, 30));
  }
  await new Promise(done => setTimeout(done, 300));
  let x = 0;
  for (const column of columns) {
    let y = 0, widest = 0;
    for (const [name, spec] of column) {
      const node = made[name], least = node.computeSize();
      node.setSize([Math.max(spec.width || least[0], 200), Math.max(spec.height, least[1])]);
      node.pos = [x, y];
      y += node.size[1] + gaps[1];
      widest = Math.max(widest, node.size[0]);
    }
    x += widest + gaps[0];
  }
  for (const node of app.graph._nodes) if (node.properties.cnr_id === undefined && node.comfyClass?.startsWith('MIVA')) node.properties.cnr_id = pack;
  app.graph.setDirtyCanvas(true, true);
  return Object.fromEntries(Object.entries(made).map(([name, node]) => [name, node.id]));
}
