#!/usr/bin/env node
// POST /entityOperations/{create,upsert,update,merge,delete}.
import assert from 'node:assert/strict';
import { test, run } from '../lib/tap.mjs';
import { assertError, contextLink, errors, startLd } from '../lib/ngsi.mjs';

const ld = await startLd({ args: ['--link.batch_max=50'] });
const op = (what, body, options) => ld.post(`/entityOperations/${what}`, body, options);
let n = 0;
const rooms = (k, more = {}) => Array.from({ length: k }, () => ({ id: `urn:ngsi-ld:Room:${++n}`, type: 'Room', temperature: { type: 'Property', value: 1 }, ...more }));
const idsOf = (list) => list.map((e) => e.id);

test('create: 201 with the ids', async () => {
    const list = rooms(3);
    const res = await op('create', list);
    assert.equal(res.status, 201, res.text);
    assert.deepEqual(res.json, idsOf(list));
});

test('create: some exist already', async () => {
    const [a, b] = rooms(2);
    await ld.create(a);
    const res = await op('create', [a, b]);
    assert.equal(res.status, 207);
    assert.deepEqual(res.json.success, [b.id]);
    assert.equal(res.json.errors.length, 1);
    assert.equal(res.json.errors[0].entityId, a.id);
    assert.equal(res.json.errors[0].error.type, `${errors}AlreadyExists`);
    assert.equal(res.json.errors[0].error.status, 409);
});

test('create: one that is wrong does not stop the others', async () => {
    const [a, b] = rooms(2);
    const res = await op('create', [a, { id: b.id, type: 'Room', bad: null }, { type: 'Room' }]);
    assert.equal(res.status, 207);
    assert.deepEqual(res.json.success, [a.id]);
    assert.deepEqual(res.json.errors.map((e) => e.entityId), [b.id, undefined]);
    assert.equal(res.json.errors[0].error.type, `${errors}BadRequestData`);
});

test('empty, null, too long, no array', async () => {
    for (const what of ['create', 'upsert', 'update', 'merge', 'delete']) {
        assertError(await op(what, []), 400, 'BadRequestData');
        assertError(await op(what, '{}'), 400, 'BadRequestData');
        assertError(await op(what, '[null]'), 400, 'BadRequestData');
    }
    const list = rooms(1);
    assertError(await op('create', [...list, null]), 400, 'BadRequestData');
    assert.equal((await ld.get(`/entities/${list[0].id}`)).status, 404, 'nothing of it was done');
    assert.equal((await op('create', rooms(51))).status, 413);
});

test('upsert: new ones 201, only old ones 204', async () => {
    const [a, b] = rooms(2);
    await ld.create({ ...a, old: 1 });
    const res = await op('upsert', [a, b]);
    assert.equal(res.status, 201, res.text);
    assert.deepEqual(res.json, [b.id], 'the ids of what is new');
    assert.ok(!('old' in await ld.read(a.id)), 'replaced');
    assert.equal((await op('upsert', [a, b])).status, 204);
    assert.equal((await op('upsert?options=replace', [a])).status, 204);
});

test('upsert with update keeps what is not given', async () => {
    const [a] = rooms(1);
    await ld.create({ ...a, old: 1 });
    assert.equal((await op('upsert?options=update', [{ id: a.id, type: 'Room', temperature: 9 }])).status, 204);
    const e = await ld.read(a.id);
    assert.equal(e.old.value, 1);
    assert.equal(e.temperature.value, 9);
});

test('the later of two of the same id wins', async () => {
    const [a] = rooms(1);
    const res = await op('upsert', [{ ...a, speed: 1, first: true }, { ...a, speed: 2 }]);
    assert.ok([201, 204].includes(res.status), res.text);
    const e = await ld.read(a.id);
    assert.equal(e.speed.value, 2);
    assert.ok(!('first' in e));
});

test('update', async () => {
    const [a, b, c] = rooms(3);
    await op('create', [a, b]);
    assert.equal((await op('update', [{ id: a.id, type: 'Room', extra: 1 }, { id: b.id, temperature: 2 }])).status, 204);
    assert.equal((await ld.read(a.id)).extra.value, 1);
    assert.equal((await ld.read(b.id)).temperature.value, 2);
    const res = await op('update', [{ id: a.id, extra: 2 }, c]);
    assert.equal(res.status, 207);
    assert.deepEqual(res.json.success, [a.id]);
    assert.equal(res.json.errors[0].entityId, c.id);
    assert.equal(res.json.errors[0].error.type, `${errors}ResourceNotFound`);
    const kept = await op('update?options=noOverwrite', [{ id: a.id, extra: 9, more: 1 }, { id: b.id, more: 2 }]);
    assert.equal(kept.status, 207, 'something was left alone');
    assert.deepEqual([kept.json.success, kept.json.errors.map((x) => x.entityId)], [[b.id], [a.id]]);
    assert.match(kept.json.errors[0].error.detail, /default-context\/extra/);
    assert.equal((await op('update?options=noOverwrite', [{ id: a.id, another: 1 }])).status, 204);
    const e = await ld.read(a.id);
    assert.equal(e.extra.value, 2);
    assert.equal(e.more.value, 1);
});

test('merge', async () => {
    const [a, b] = rooms(2, { name: { type: 'Property', value: { x: 1, y: 2 } } });
    await op('create', [a, b]);
    assert.equal((await op('merge', [{ id: a.id, name: { value: { y: 'urn:ngsi-ld:null', z: 3 } } }, { id: b.id, name: 'urn:ngsi-ld:null' }])).status, 204);
    assert.deepEqual((await ld.read(a.id)).name.value, { x: 1, z: 3 });
    assert.ok(!('name' in await ld.read(b.id)));
    assert.equal((await op('merge', [{ id: 'urn:x:none', name: 1 }])).status, 207);
});

test('delete', async () => {
    const [a, b] = rooms(2);
    await op('create', [a, b]);
    assert.equal((await op('delete', [a.id])).status, 204);
    const res = await op('delete', [a.id, b.id, 'no uri']);
    assert.equal(res.status, 207);
    assert.deepEqual(res.json.success, [b.id]);
    assert.deepEqual(res.json.errors.map((e) => e.error.type), [`${errors}ResourceNotFound`, `${errors}BadRequestData`]);
});

test('JSON-LD: every entity has a context of its own', async () => {
    const [a, b, c] = rooms(3);
    const list = [{ ...a, v: 1, '@context': { v: 'https://example.org/a' } }, { ...b, v: 2, '@context': [{ v: 'https://example.org/b' }] }, c];
    const res = await op('create', list, { type: 'application/ld+json' });
    assert.equal(res.status, 207);
    assert.deepEqual(res.json.success, [a.id, b.id]);
    assert.equal(res.json.errors[0].entityId, c.id, 'the one without context');
    assert.equal((await ld.read(a.id))['https://example.org/a'].value, 1);
    assert.equal((await ld.read(b.id))['https://example.org/b'].value, 2);
    const plain = await op('create', [list[0], c]);
    assert.equal(plain.status, 207, 'plain JSON has no @context in it');
    assert.deepEqual([plain.json.success, plain.json.errors.map((x) => x.error.type)], [[c.id], [`${errors}BadRequestData`]]);
    assertError(await op('create', list, { type: 'application/ld+json', headers: contextLink('https://example.org/c') }), 400, 'BadRequestData');
});

test('a remote context that cannot be had fails the entities that need it', async () => {
    const [a, b, c] = rooms(3);
    const none = 'http://127.0.0.1:1/none.jsonld';
    const res = await op('create', [{ ...a, '@context': none }, { ...b, '@context': { v: 'https://example.org/b' } }, { ...c, '@context': [none] }], { type: 'application/ld+json' });
    assert.equal(res.status, 207, res.text);
    assert.deepEqual(res.json.success, [b.id]);
    assert.deepEqual(res.json.errors.map((x) => x.entityId), [a.id, c.id]);
    for (const e of res.json.errors) {
        assert.equal(e.error.type, `${errors}LdContextNotAvailable`);
        assert.equal(e.error.status, 504);
        assert.match(e.error.detail, /none\.jsonld/);
    }
    const alone = await op('create', [{ ...a, '@context': none }], { type: 'application/ld+json' });
    assert.equal(alone.status, 207, 'also when nothing is left to write');
    assert.deepEqual(alone.json.success, []);
});

test('one transaction: a batch is seen whole or not at all', async () => {
    const list = rooms(50);
    let done = false;
    const watching = (async () => {
        const seen = new Set();
        while (!done) {
            const res = await ld.get(`/entities?local=true&id=${list[0].id},${list[49].id}`);
            seen.add(res.json.length);
        }
        return seen;
    })();
    for (let i = 0; i < 5; i++) {
        assert.ok([201, 204].includes((await op('upsert', list)).status));
        assert.equal((await op('delete', idsOf(list))).status, 204);
    }
    done = true;
    assert.ok(!(await watching).has(1), 'never half of it');
});

await run(() => ld.city.stop());
