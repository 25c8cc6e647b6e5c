#!/usr/bin/env node
// Lists asked for again and again: what is kept of their text never hides a change.
import assert from 'node:assert/strict';
import { test, run } from '../lib/tap.mjs';
import { contextLink, startLd } from '../lib/ngsi.mjs';

const ld = await startLd();
await ld.post('/entityOperations/create', [
    { id: 'urn:x:1', type: 'Bench', level: 1 },
    { id: 'urn:x:2', type: 'Bench', level: 2 },
    { id: 'urn:x:3', type: 'Tree', level: 3 },
]);
const list = async (query = 'type=Bench', headers) => (await ld.get(`/entities?${query}`, headers)).json;
const levels = (l) => l.map((e) => e.level.value);

test('twice the same, then a change shows', async () => {
    assert.deepEqual(levels(await list()), [1, 2]);
    assert.deepEqual(levels(await list()), [1, 2]);
    assert.equal((await ld.patch('/entities/urn:x:2/attrs', { level: 20 })).status, 204);
    assert.deepEqual(levels(await list()), [1, 20]);
    assert.deepEqual(levels(await list()), [1, 20]);
});

test('each form has its own text', async () => {
    for (let i = 0; i < 2; i++) {
        assert.deepEqual(await list('type=Tree&format=concise'), [{ id: 'urn:x:3', type: 'Tree', level: 3 }]);
        assert.deepEqual(await list('type=Tree'), [{ id: 'urn:x:3', type: 'Tree', level: { type: 'Property', value: 3 } }]);
        assert.ok((await list('type=Tree&options=sysAttrs'))[0].createdAt);
        assert.equal((await list('type=Tree&pick=id'))[0].level, undefined);
        assert.ok((await list('type=Tree', { Accept: 'application/ld+json' }))[0]['@context']);
    }
});

test('names are those of the reader', async () => {
    const iri = 'https://uri.etsi.org/ngsi-ld/default-context/';
    const made = await ld.post('/jsonldContexts', { '@context': { Arbre: `${iri}Tree`, niveau: `${iri}level` } });
    const headers = contextLink(made.headers.get('location'));
    for (let i = 0; i < 2; i++) {
        assert.equal((await list('type=Arbre', headers))[0].niveau.value, 3);
        assert.equal((await list('type=Tree'))[0].level.value, 3);
    }
});

test('types still decide, and counts and pages', async () => {
    assert.equal((await list('type=Bench,Tree')).length, 3);
    assert.deepEqual((await list('type=Tree')).map((e) => e.id), ['urn:x:3']);
    assert.deepEqual((await list('type=(Bench;Tree)')).length, 0);
    const page = await ld.get('/entities?type=Bench,Tree&offset=1&limit=1&count=true');
    assert.deepEqual(page.json.map((e) => e.id), ['urn:x:2']);
    assert.equal(page.headers.get('ngsild-results-count'), '3');
    assert.deepEqual(levels(await list('type=Bench&q=level>5')), [20]);
});

test('another type, then gone, then there again', async () => {
    assert.equal((await ld.post('/entities/urn:x:3/attrs', { type: 'Bench' })).status, 204);
    assert.deepEqual((await list()).map((e) => e.id), ['urn:x:1', 'urn:x:2', 'urn:x:3']);
    assert.equal((await ld.delete('/entities/urn:x:1')).status, 204);
    assert.deepEqual((await list()).map((e) => e.id), ['urn:x:2', 'urn:x:3']);
    assert.equal((await ld.post('/entities', { id: 'urn:x:1', type: 'Bench', level: 7 })).status, 201);
    assert.deepEqual(levels(await list()).sort((a, b) => a - b), [3, 7, 20]);
});

test('what expires is gone when its time has come', async () => {
    const expiresAt = new Date(Date.now() + 700).toISOString();
    assert.equal((await ld.post('/entities', { id: 'urn:x:9', type: 'Short', expiresAt })).status, 201);
    assert.equal((await list('type=Short')).length, 1);
    assert.equal((await list('type=Short')).length, 1);
    await new Promise((go) => setTimeout(go, 800));
    assert.equal((await list('type=Short')).length, 0);
});

await run(() => ld.city.stop());
