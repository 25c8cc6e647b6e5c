#!/usr/bin/env node
// Update operators of Orion: $inc, $mul, $min, $max, $push, $addToSet, $pull, $pullAll, $set, $unset.
import assert from 'node:assert/strict';
import { run, test } from '../lib/tap.mjs';
import { assertError, startV2 } from '../lib/v2.mjs';

const v2 = await startV2();
await v2.create({ id: 'E', type: 'T', a: { value: 0, metadata: { m: { value: 1 } } } });

const put = (value, type) => v2.put('/entities/E/attrs/a', { value, ...(type && { type }) });
const now = async () => (await v2.get('/entities/E/attrs/a')).json.value;
async function becomes(before, operation, after, type) {
    assert.equal((await put(before, type)).status, 204);
    const res = await put(operation, type);
    assert.equal(res.status, 204, res.text);
    assert.deepEqual(await now(), after, JSON.stringify(operation));
}
async function refused(before, operation, why) {
    assert.equal((await put(before)).status, 204);
    assertError(await put(operation), 422, 'Unprocessable', why);
    assert.deepEqual(await now(), before);
}

test('numbers', async () => {
    await becomes(10, { $inc: 2 }, 12);
    await becomes(10, { $inc: -2.5 }, 7.5);
    await becomes(10, { $mul: 2 }, 20);
    await becomes(9007199254740993, { $inc: 0 }, 9007199254740993);
    await becomes(10, { $min: 2 }, 2);
    await becomes(10, { $min: 20 }, 10);
    await becomes(10, { $max: 12 }, 12);
    await becomes(10, { $max: 4 }, 10);
    await becomes('b', { $max: 'c' }, 'c');
    await becomes('2026-01-02T00:00:00Z', { $min: '2026-01-01T10:00:00+01:00' }, '2026-01-01T10:00:00+01:00', 'DateTime');
    await refused('text', { $inc: 1 }, /numbers only/);
    await refused(1, { $inc: 'x' }, /numbers only/);
    await refused(1, { $max: 'x' }, /two numbers or two texts/);
});

test('lists', async () => {
    await becomes([1, 2, 3], { $push: 3 }, [1, 2, 3, 3]);
    await becomes([1], { $push: { $each: [4, 5] } }, [1, 4, 5]);
    await becomes([1, 2], { $push: { $each: [-1, 0], $position: 0 } }, [-1, 0, 1, 2]);
    await becomes([1, 2, 3], { $push: { $each: [9], $position: -1 } }, [1, 2, 9, 3]);
    await becomes([1, 2], { $addToSet: 2 }, [1, 2]);
    await becomes([1, 2], { $addToSet: { x: 1 } }, [1, 2, { x: 1 }]);
    await becomes([1, 2, 3, 2], { $pull: 2 }, [1, 3]);
    await becomes([1, 2, 3], { $pullAll: [2, 3] }, [1]);
    await refused({ x: 1 }, { $push: 1 }, /no array/);
    await refused([1], { $pullAll: 1 }, /array/);
    await refused([1], { $push: { $each: 1 } }, /\$each/);
});

test('objects', async () => {
    await becomes({ X: 1, Y: 2 }, { $set: { Y: 20, Z: 30 } }, { X: 1, Y: 20, Z: 30 });
    await becomes({ X: 1, Y: 2 }, { $unset: { X: 1, Q: 1 } }, { Y: 2 });
    await becomes({ X: 1, Y: 2 }, { $set: { Y: 20 }, $unset: { X: 1 } }, { Y: 20 });
    await becomes({}, { $set: { Y: 20 } }, { Y: 20 });
    await becomes(5, { $set: 'foo' }, 'foo');
    await refused('foo', { $set: { X: 1 } }, /no object/);
    await refused({ X: 1 }, { $set: { X: 1 }, $unset: { X: 1 } }, /same member/);
    await becomes(1, { $what: 1 }, { $what: 1 });
    await becomes(1, { $inc: 1, x: 1 }, { $inc: 1, x: 1 });
});

test('new attributes and entities begin at nothing; type and metadata stay', async () => {
    await v2.create({ id: 'N', type: 'T', i: { value: { $inc: 4 }, type: 'Number' }, m: { value: { $mul: 9 } }, l: { value: { $push: 4 } },
        s: { value: { $set: { X: 1 } } }, gone: { value: { $unset: { X: 1 } } }, out: { value: { $pull: 1 } }, d: { value: { $max: '2026-01-01T00:00:00Z' }, type: 'DateTime' } });
    assert.deepEqual(await v2.read('N', '?options=keyValues'), { id: 'N', type: 'T', i: 4, m: 0, l: [4], s: { X: 1 }, d: '2026-01-01T00:00:00Z' });
    assert.equal((await v2.read('N')).d.type, 'DateTime');
    assert.equal((await v2.post('/entities/N/attrs', { fresh: { value: { $inc: 1 } } })).status, 204);
    assert.equal((await v2.read('N')).fresh.value, 1);
    assert.equal((await v2.patch('/entities/N/attrs?options=keyValues', { i: { $inc: 1 } })).status, 204);
    assert.equal((await v2.read('N')).i.value, 5);
    assert.equal((await v2.put('/entities/N/attrs/i/value', { $inc: 1 })).status, 204);
    assert.equal((await v2.read('N')).i.value, 6);
    assert.equal((await v2.put('/entities/N/attrs', { i: { value: { $inc: 1 } } })).status, 204);
    assert.deepEqual(await v2.read('N', '?options=keyValues'), { id: 'N', type: 'T', i: 1 });
    assert.equal((await put({ $inc: 1 })).status, 422);
    assert.equal((await v2.put('/entities/E/attrs/a', { value: 1, type: 'Speed' })).status, 204);
    assert.equal((await put({ $inc: 1 })).status, 204);
    assert.deepEqual((await v2.get('/entities/E/attrs/a')).json, { type: 'Speed', value: 2, metadata: { m: { type: 'Number', value: 1 } } });
});

test('fifty at once: none is lost', async () => {
    await v2.create({ id: 'C', type: 'T', n: { value: 0 } });
    const all = await Promise.all(Array.from({ length: 50 }, () => v2.post('/op/update', { actionType: 'append', entities: [{ id: 'C', type: 'T', n: { value: { $inc: 1 } } }] })));
    assert.ok(all.every((r) => r.status === 204));
    assert.equal((await v2.read('C')).n.value, 50);
});

await run(() => v2.city.stop());
