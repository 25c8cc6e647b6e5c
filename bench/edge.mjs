#!/usr/bin/env node
// A day apart: city and edge node each take 100,000 changes while the line is cut; from the moment it is
// mended until both hold the same. Beside it, the time that the same number of changes takes through the
// interface of one city. Then what sync costs a city's updates.
import { startRelease, report, format, quick } from './lib.mjs';
import { digest, startEdge, upstream } from '../tests/lib/edge.mjs';

const changes = quick ? 10000 : 100000; // a side
const sensors = quick ? 500 : 2000;
const batch = 500;
const day = Date.UTC(2026, 10, 1);

const id = (i) => `urn:ngsi-ld:WaterLevelObserved:${String(i % sensors).padStart(5, '0')}`;

// One in a hundred changes the attribute that the other side changes too.
async function write(city, attr, other, from, to) {
    for (let i = from; i < to; i += batch) {
        const body = [];
        for (let k = i; k < Math.min(i + batch, to); k++)
            body.push({ id: id(k), type: 'WaterLevelObserved',
                [k % 101 === 7 ? other : attr]: { type: 'Property', value: k, observedAt: new Date(day + k * 864).toISOString() } });
        const { status, text } = await city.post('/ngsi-ld/v1/entityOperations/upsert?options=update', body);
        if (status !== 204 && status !== 201) throw new Error(`${status} ${text.slice(0, 300)}`);
    }
}

async function timed(work) {
    const began = performance.now();
    await work();
    return (performance.now() - began) / 1000;
}

const alone = await startRelease();
await write(alone, 'level', 'flow', 0, sensors);
const lone = await timed(() => write(alone, 'level', 'flow', 0, changes));
await alone.stop();

const city = await startRelease();
await write(city, 'level', 'flow', 0, sensors);
const node = await startEdge(city, 'bench', { args: ['--edge.verify_s=3600'] });
const same = async () => {
    const state = await upstream(node);
    if (state.state !== 'together' || state.waiting) return false;
    return (await digest(city)).digest === (await digest(node)).digest;
};
const untilSame = async () => { while (!await same()) await new Promise((done) => setTimeout(done, 200)); };
await untilSame();
node.line.cut();
const there = await timed(() => write(city, 'level', 'flow', 0, changes));
await write(node, 'flow', 'level', 0, changes);
const bytes = node.line.bytes;
node.line.mend();
const merged = await timed(untilSame);
const conflicts = (await city.get('/link/v1/conflicts?limit=1000')).json.length;
report(`${format(changes)} changes a side merged, seconds`, merged, 30, 'max',
    `${format(2 * changes / merged)} changes/s, ${format((node.line.bytes - bytes) / 1e6)} MB on the line, ${conflicts} conflicts; digests equal`);
report('updates of a city that keeps registers : of one that does not', lone / there, 0.6, 'min',
    `${format(changes / there)}/s : ${format(changes / lone)}/s, batches of ${batch}`);
await node.stop();
await city.stop();
