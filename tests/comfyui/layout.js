// How the graph lies on the canvas, as it is drawn now.
() => {
  const view = app.canvas.canvas.getBoundingClientRect(), {scale, offset} = app.canvas.ds;
  const onGraph = box => ({
    x: (box.x - view.x) / scale - offset[0], y: (box.y - view.y) / scale - offset[1],
    width: box.width / scale, height: box.height / scale,
  });
  const boxes = app.graph._nodes.map(node => {
    // In Nodes 2.0 a node is as large as its contents, whatever its size says.
    const drawn = document.querySelector(`[data-node-id="${node.id}"]`);
    const [x, y] = node.pos, [width, height] = node.size, title = 30;
    const box = drawn ? onGraph(drawn.getBoundingClientRect()) : {x, y: y - title, width, height: height + title};
    // Nothing begins or ends inside of this frame: sockets are on the edge in Nodes 2.0, and else 10 pixels in.
    return {name: node.title, inset: drawn ? 5 : 15, ...box};
  });
  const overlapping = boxes.flatMap((a, k) => boxes.slice(k + 1)
    .filter(b => a.x < b.x + b.width && b.x < a.x + a.width && a.y < b.y + b.height && b.y < a.y + a.height)
    .map(b => `${a.name} / ${b.name}`));
  // What runs behind a node crosses that frame.
  const pen = new OffscreenCanvas(1, 1).getContext('2d');
  pen.lineWidth = 6;
  const frame = ({x, y, width, height, inset}) => {
    const [left, top, right, bottom] = [x + inset, y + inset, x + width - inset, y + height - inset], points = [];
    for (let u = left; u <= right; u += 3) points.push([u, top], [u, bottom]);
    for (let v = top; v <= bottom; v += 3) points.push([left, v], [right, v]);
    return points;
  };
  const wires = [...app.graph._links.values(), ...app.graph.reroutes.values()].map(wire => wire.path).filter(Boolean);
  const crossed = boxes.filter(box => frame(box).some(([u, v]) => wires.some(wire => pen.isPointInStroke(wire, u, v))));
  // Notes are measured by their text, pictures are shown from the start, and an animation is shown in the room it finds.
  const needed = node => /Note|LoadImage|SaveAnimatedWEBP/.test(node.type) ? Infinity : node.computeSize()[1] + 100;
  const halfEmpty = app.graph._nodes.filter(node => node.size[1] > needed(node));
  const note = document.querySelector('.comfy-markdown-content, .comfy-markdown .tiptap');
  const outer = note.getBoundingClientRect(), last = note.lastElementChild.getBoundingClientRect();
  return {
    overlapping,
    crossed: crossed.map(box => box.name),
    half_empty: halfEmpty.map(node => node.title),
    wires: wires.length,
    filled: (last.bottom - outer.top) / outer.height,
  };
}
