#!/usr/bin/env node
// What types and attributes there are, and who this server is.
import assert from 'node:assert/strict';
import { test, run } from '../lib/tap.mjs';
import { assertError, contextLink, startLd } from '../lib/ngsi.mjs';

const ld = await startLd();
const prefix = 'https://uri.etsi.org/ngsi-ld/default-context/';
await ld.post('/entityOperations/create', [
    { id: 'urn:x:1', type: 'Building', name: 'a', level: 1 },
    { id: 'urn:x:2', type: 'Building', name: { type: 'LanguageProperty', languageMap: { en: 'a' } } },
    { id: 'urn:x:3', type: ['Vehicle', 'https://example.org/Bus'], name: 'b', parked: true },
]);

test('types', async () => {
    const { json, headers } = await ld.get('/types');
    assert.equal(json.type, 'EntityTypeList');
    assert.match(json.id, /^urn:ngsi-ld:EntityTypeList:/);
    assert.deepEqual(json.typeList.sort(), ['Building', 'Vehicle', 'https://example.org/Bus']);
    assert.match(headers.get('link'), /json-ld#context/);
    const ldjson = await ld.get('/types', { Accept: 'application/ld+json' });
    assert.ok(ldjson.json['@context']);
});

test('types by the names of a context', async () => {
    const made = await ld.post('/jsonldContexts', { '@context': { Bus: 'https://example.org/Bus' } });
    const headers = contextLink(made.headers.get('location'));
    assert.ok((await ld.get('/types', headers)).json.typeList.includes('Bus'));
    assert.equal((await ld.get('/types/Bus', headers)).json.entityCount, 1);
});

test('types with their attributes', async () => {
    const { json } = await ld.get('/types?details=true');
    const building = json.find((t) => t.typeName === 'Building');
    assert.equal(building.type, 'EntityType');
    assert.equal(building.id, `${prefix}Building`);
    assert.deepEqual(building.attributeNames.sort(), ['level', 'name']);
});

test('one type', async () => {
    const { json } = await ld.get('/types/Building');
    assert.equal(json.type, 'EntityTypeInfo');
    assert.equal(json.entityCount, 2);
    const name = json.attributeDetails.find((a) => a.attributeName === 'name');
    assert.deepEqual(name, { id: `${prefix}name`, type: 'Attribute', attributeName: 'name', attributeTypes: ['Property', 'LanguageProperty'] });
    assert.equal((await ld.get(`/types/${encodeURIComponent('https://example.org/Bus')}`)).json.entityCount, 1);
    assertError(await ld.get('/types/Nothing'), 404, 'ResourceNotFound');
});

test('attributes', async () => {
    const { json } = await ld.get('/attributes');
    assert.equal(json.type, 'AttributeList');
    assert.deepEqual(json.attributeList.sort(), ['level', 'name', 'parked']);
    const details = (await ld.get('/attributes?details=true')).json.find((a) => a.attributeName === 'name');
    assert.equal(details.type, 'Attribute');
    assert.deepEqual(details.typeNames.sort(), ['Building', 'Vehicle', 'https://example.org/Bus']);
});

test('one attribute', async () => {
    const { json } = await ld.get('/attributes/name');
    assert.deepEqual({ ...json, typeNames: json.typeNames.sort() }, {
        id: `${prefix}name`, type: 'Attribute', attributeName: 'name', attributeCount: 3, attributeTypes: ['Property', 'LanguageProperty'], typeNames: ['Building', 'Vehicle', 'https://example.org/Bus'],
    });
    assertError(await ld.get('/attributes/nothing'), 404, 'ResourceNotFound');
});

test('names without entities are not in use', async () => {
    await ld.create({ id: 'urn:x:9', type: 'Brief', moment: 1 });
    await ld.delete('/entities/urn:x:9');
    assert.ok(!(await ld.get('/types')).json.typeList.includes('Brief'));
    assert.ok(!(await ld.get('/attributes')).json.attributeList.includes('moment'));
});

test('wrong parameters', async () => {
    assertError(await ld.get('/types?detail=true'), 400, 'InvalidRequest');
    assertError(await ld.get('/types?details=maybe'), 400, 'BadRequestData');
    assert.equal((await ld.get('/types', { Accept: 'application/geo+json' })).status, 406);
});

test('sourceIdentity', async () => {
    const get = async (tenant) => (await ld.get('/info/sourceIdentity', tenant ? { 'NGSILD-Tenant': tenant } : {})).json;
    const me = await get();
    assert.equal(me.type, 'ContextSourceIdentity');
    assert.match(me.id, /^urn:/);
    assert.match(me.contextSourceUptime, /^PT\d+S$/);
    assert.match(me.contextSourceTimeAt, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z$/);
    assert.equal((await get()).contextSourceAlias, me.contextSourceAlias, 'stable');
    assert.notEqual((await get('a')).contextSourceAlias, me.contextSourceAlias, 'tenants have their own');
});

await run(() => ld.city.stop());
