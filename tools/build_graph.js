// Builds a graph in ComfyUI's page from columns of nodes, lays it out, and returns the ids of its nodes by name.
// Widgets of a dynamic combo come and go with its value, so values are set in the order given.
// A link to the next column runs in the gap between the two. One to a farther column is led over the columns between by
// reroutes, each output in a lane of its own, so that no wire runs behind a node.
async ({columns, groups, gaps, lanesAt, pack}) => {
  const empty = {version: 0.4, last_node_id: 0, last_link_id: 0, nodes: [], links: [], groups: [], config: {}, extra: {}};
  await app.loadGraphData(empty, true, true, 'new');
  const pause = ms => new Promise(done => setTimeout(done, ms));
  const made = {}, columnOf = {};
  const order = columns.flatMap((column, number) => column.map(([name, spec]) => [name, spec, number]));
  // Ids count up: what came to a workflow later leaves those of the others as they are.
  order.sort((a, b) => a[1].late - b[1].late);
  for (const [name, spec, number] of order) {
    const node = LiteGraph.createNode(spec.kind);
    if (!node) throw new Error(`no node ${spec.kind}`);
    app.graph.add(node);
    made[name] = node;
    columnOf[name] = number;
    if (spec.title) node.title = spec.title;
    if (spec.bypassed) node.mode = 4;
    for (const [key, value] of Object.entries(spec.widgets)) {
      const widget = key ? node.widgets.find(w => w.name === key) : node.widgets[0];
      if (!widget) throw new Error(`${spec.kind} has no widget ${key}: ${node.widgets.map(w => w.name)}`);
      widget.value = value;
      widget.callback?.(value);
      await pause(30);
    }
    if (spec.models.length) node.properties.models = spec.models;
  }
  const links = [];
  for (const column of columns) for (const [name, spec] of column) for (const [input, [from, output]] of Object.entries(spec.links)) {
    const to = made[name], source = made[from];
    const slot = to.inputs.findIndex(i => i.name === input), out = source.outputs.findIndex(o => o.name === output);
    if (slot < 0 || out < 0) throw new Error(`${spec.kind}.${input} <- ${from}.${output}: ${to.inputs.map(i => i.name)} / ${source.outputs.map(o => o.name)}`);
    if (columnOf[name] <= columnOf[from]) throw new Error(`${name} must be right of ${from}`);
    links.push({source, out, to, slot, output: `${from}.${output}`, first: columnOf[from] + 1, last: columnOf[name] - 1});
  }
  // The farthest first: nearer ones branch off its reroutes.
  links.sort((a, b) => b.last - a.last);
  const connect = async (link, after) => {
    const wire = link.source.connect(link.out, link.to, link.slot, after);
    await pause(30);
    return wire;
  };
  for (const link of links) if (link.last < link.first) link.wire = await connect(link);
  await pause(300);
  const edges = [];
  let x = 0;
  for (const column of columns) {
    const least = Object.fromEntries(column.map(([name]) => [name, made[name].computeSize()]));
    const width = Math.max(...column.map(([name, spec]) => spec.width || least[name][0]));
    let y = 0;
    for (const [name, spec] of column) {
      const node = made[name];
      node.setSize([width, Math.max(spec.height, least[name][1])]);
      node.pos = [x, y];
      y += node.size[1] + spec.room + gaps[1];
    }
    edges.push([x - 15, x + width + 15]);
    x += width + gaps[0];
  }
  const rooms = Object.fromEntries(order.map(([name, spec]) => [name, spec.room]));
  for (const [title, names] of Object.entries(groups)) {
    const [inside, above] = [15, 65];
    const boxes = names.map(name => ({x: made[name].pos[0], y: made[name].pos[1], width: made[name].size[0], height: made[name].size[1] + rooms[name]}));
    const [left, top] = [Math.min(...boxes.map(b => b.x)), Math.min(...boxes.map(b => b.y))];
    const group = new LiteGraph.LGraphGroup(title);
    group.pos = [left - inside, top - above];
    group.size = [Math.max(...boxes.map(b => b.x + b.width)) + inside - group.pos[0], Math.max(...boxes.map(b => b.y + b.height)) + inside - group.pos[1]];
    app.graph.add(group);
  }
  // By itself a wire this long bulges out of the gap that it runs in, and behind a column. Its first reroute is well
  // below the wires of its neighbours, with which it would look connected.
  for (const {wire, source, out, to, slot} of links) {
    const [[, top], [end, bottom]] = [source.getOutputPos(out), to.getInputPos(slot)];
    if (wire && bottom - top > 1000) for (const y of [top + 60, bottom]) app.graph.createReroute([end - gaps[0] / 2, y], wire);
  }
  const lanes = {};
  for (const link of links) {
    if (link.last < link.first) continue;
    const lane = lanes[link.output] ??= {y: -lanesAt[0] - lanesAt[1] * Object.keys(lanes).length, reroutes: []};
    const wire = await connect(link, lane.reroutes[2 * (link.last - link.first) + 1]);
    const passed = edges.slice(link.first, link.last + 1).flat();
    if (!lane.reroutes.length) {
      const [begin, from] = link.source.getOutputPos(link.out);
      // One that comes from far below would bulge likewise. Of many lanes, some would bend behind the node.
      const bend = begin + gaps[0] / 2 + lane.y / 5, right = edges[link.first - 1][1] - 15;
      if (from - lane.y > 600) app.graph.createReroute([bend < right ? right + gaps[0] / 2 : bend, from], wire);
      lane.reroutes = passed.map(x => app.graph.createReroute([x, lane.y], wire).id);
    }
    const [end, y] = link.to.getInputPos(link.slot);
    // A wire that bends down to a far socket by itself bulges behind the column that it has just passed.
    if (y - lane.y > 400) app.graph.createReroute([end - gaps[0] / 2, y], wire);
  }
  for (const node of app.graph._nodes) if (node.properties.cnr_id === undefined && node.comfyClass?.startsWith('MIVA')) node.properties.cnr_id = pack;
  app.graph.setDirtyCanvas(true, true);
  return Object.fromEntries(Object.entries(made).map(([name, node]) => [name, node.id]));
}
