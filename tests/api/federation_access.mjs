#!/usr/bin/env node
// What sources answer passes the reader's own view: entities, evolutions, types, attributes, maps of
// entities. Two real servers; the second one knows nothing of the first one's policies.
import assert from 'node:assert/strict';
import { startLd, ids } from '../lib/ngsi.mjs';
import { register } from '../lib/source.mjs';
import { run, test } from '../lib/tap.mjs';

const args = ['--client.allow_private=true'];
const here = await startLd({ args }), there = await startLd({ args });
const P = (value, more) => ({ type: 'Property', value, ...more });
const bearer = (key) => ({ Authorization: `Bearer ${key}` });
const key = async (name, policies) => {
    const res = await here.city.post('/link/v1/keys', { name, policies });
    assert.equal(res.status, 201, res.text);
    return bearer(res.json.key);
};
const policy = async (name, body) => {
    const res = await here.city.put(`/link/v1/policies/${name}`, body);
    assert.equal(res.status, 200, res.text);
};
const time = 'timerel=after&timeAt=2000-01-01T00:00:00Z';
const at = { observedAt: '2026-01-01T00:00:00Z' };

for (const [where, n] of [[here, 1], [there, 2]]) {
    await where.create({ id: `urn:x:resident:${n}`, type: 'Resident', phone: P(`090-${n}`, at), age: P(n, at) });
    await where.create({ id: `urn:x:shelter:${n}`, type: 'Shelter', name: P(`shelter ${n}`, at), code: P(`code-${n}`, at), rank: P(n, at) });
}
await there.create({ id: 'urn:x:note:1', type: 'Note', words: P('private words', at) });
const about = [{ type: 'Resident' }, { type: 'Shelter' }, { type: 'Note' }];
await register(here, there.city.url, about);
await register(here, there.city.url, about, { operations: ['retrieveTemporal', 'queryTemporal'], observationInterval: { startAt: '2020-01-01T00:00:00Z' } });
await policy('personal', { types: ['Resident'] });
await policy('everyone', { rules: [{ effect: 'deny', rights: ['read'], types: ['Shelter'], attrs: ['code'] }, { effect: 'deny', rights: ['read'], types: ['Note'], q: 'words' }] });
await policy('clerk', { rules: [{ rights: ['read'], types: ['Resident'], attrs: ['age'] }] });
const admin = await key('root', ['admin']), clerk = await key('clerk', ['clerk']), other = await key('other', ['clerk']);

const doors = ['/types', '/types?details=true', '/types/Resident', '/types/Note', '/types/Shelter', '/attributes', '/attributes?details=true',
    '/attributes/phone', '/attributes/code', '/attributes/words', '/temporal/entities/urn:x:resident:2', '/temporal/entities/urn:x:note:1',
    '/temporal/entities/urn:x:shelter:2', '/temporal/entities/urn:x:shelter:2?options=temporalValues', '/temporal/entities/urn:x:shelter:2?attrs=code',
    `/temporal/entities?type=Resident,Shelter,Note&${time}`, `/temporal/entities?type=Resident&${time}`, `/temporal/entities?type=Shelter&${time}&options=temporalValues`,
    `/temporal/entities?type=Shelter&${time}&options=aggregatedValues&aggrMethods=max&aggrPeriodDuration=P1D`,
    '/entities?type=Resident,Shelter,Note', '/entities/urn:x:resident:2', '/entities/urn:x:note:1', '/entities/urn:x:shelter:2'];

test('whoever may do everything gets what the source has', async () => {
    const got = (await Promise.all(doors.map((door) => here.get(door, admin)))).map((res) => res.text).join('\n');
    for (const word of ['090-2', 'code-2', 'private words', 'Resident', 'Note', '"phone"', '"words"']) assert.ok(got.includes(word), word);
});

test('nobody else gets what rules hide, at any door', async () => {
    for (const headers of [{}, clerk])
        for (const door of doors) {
            const res = await here.get(door, headers);
            assert.ok(res.status < 500, `${door}: ${res.status}`);
            assert.doesNotMatch(res.text, /090-|code-|private words/, door);
            if (res.status !== 200) continue;
            assert.doesNotMatch(res.text, /phone|"code"|Note|words/, door);
            if (headers !== clerk) assert.doesNotMatch(res.text, /Resident|resident/, door);
        }
});

test('what is open stays: names, values, what a policy adds', async () => {
    const types = async (headers) => (await here.get('/types', headers)).json.typeList.sort();
    assert.deepEqual(await types({}), ['Shelter']);
    assert.deepEqual(await types(clerk), ['Resident', 'Shelter']);
    assert.deepEqual(await types(admin), ['Note', 'Resident', 'Shelter']);
    const info = (await here.get('/types/Shelter')).json;
    assert.deepEqual(info.attributeDetails.map((a) => a.attributeName).sort(), ['name', 'rank']);
    assert.equal(info.entityCount, 2);
    assert.equal((await here.get('/types/Note')).status, 404);
    assert.equal((await here.get('/types/Resident')).status, 404);
    assert.ok((await here.get('/attributes')).json.attributeList.includes('rank'));
    assert.deepEqual((await here.get('/types/Resident', clerk)).json.attributeDetails.map((a) => a.attributeName), ['age']);
    assert.equal((await here.get('/temporal/entities/urn:x:shelter:2')).json.name.value ?? (await here.get('/temporal/entities/urn:x:shelter:2')).json.name[0].value, 'shelter 2');
    const past = (await here.get('/temporal/entities/urn:x:resident:2', clerk)).json;
    assert.deepEqual(Object.keys(past).filter((k) => k !== '@context').sort(), ['age', 'id', 'type']);
    assert.equal((await here.get('/temporal/entities/urn:x:resident:2')).status, 404);
    assert.deepEqual(ids(await here.get(`/temporal/entities?type=Shelter&${time}`)), ['urn:x:shelter:1', 'urn:x:shelter:2']);
});

test('a condition on what is hidden does not tell at the source either', async () => {
    const find = async (q, headers) => ids(await here.get(`/temporal/entities?type=Shelter&${time}&q=${encodeURIComponent(q)}`, headers));
    assert.deepEqual(await find('code=="code-2"', admin), ['urn:x:shelter:2']);
    assert.deepEqual(await find('code=="code-2"', {}), []);
    assert.deepEqual(await find('rank==2', {}), ['urn:x:shelter:2']);
    const posted = await here.post('/temporal/entityOperations/query', { type: 'Query', entities: [{ type: 'Shelter' }], q: 'code=="code-2"', temporalQ: { timerel: 'after', timeAt: '2000-01-01T00:00:00Z' } });
    assert.deepEqual(ids(posted), []);
});

test('a map of entities is for whoever had it made, and tells only what they may see now', async () => {
    const made = async (headers, type = 'Resident,Shelter') => (await here.get(`/entities?type=${type}&entityMap=true`, headers)).headers.get('ngsild-entitymap');
    const map = async (address, headers) => here.city.get(address, headers);
    const all = await made(admin), some = await made(clerk), open = await made({ 'X-Forwarded-For': '203.0.113.9' });
    assert.deepEqual(Object.keys((await map(all, admin)).json.entityMap).sort(), ['urn:x:resident:1', 'urn:x:resident:2', 'urn:x:shelter:1', 'urn:x:shelter:2']);
    assert.equal((await map(all, clerk)).status, 404);
    assert.equal((await map(some, other)).status, 404);
    const writer = await key('writer', ['writer']);
    assert.ok([403, 404].includes((await here.city.delete(all, writer)).status));
    assert.ok([403, 404].includes((await here.city.patch(all, { entityMap: {} }, { headers: writer })).status));
    assert.equal((await map(all, admin)).status, 200);
    const again = await here.get('/entities?type=Resident,Shelter', { ...clerk, 'NGSILD-EntityMap': all });
    assert.notEqual(again.headers.get('ngsild-entitymap'), all, 'it is not known to them');
    assert.equal((await map(open, clerk)).status, 200);
    assert.deepEqual(Object.keys((await map(some, clerk)).json.entityMap).sort(), ['urn:x:resident:1', 'urn:x:resident:2', 'urn:x:shelter:1', 'urn:x:shelter:2']);
    assert.deepEqual(Object.keys((await map(open, {})).json.entityMap).sort(), ['urn:x:shelter:1', 'urn:x:shelter:2']);
    // the rules change after it was made
    await policy('clerk', { rules: [{ effect: 'deny', rights: ['read'], types: ['Shelter'] }] });
    assert.deepEqual((await map(some, clerk)).json.entityMap, {});
    assert.deepEqual((await map(open, clerk)).json.entityMap, {});
    assert.deepEqual(Object.keys((await map(open, admin)).json.entityMap).sort(), ['urn:x:shelter:1', 'urn:x:shelter:2']);
});

await run(async () => {
    await here.city.stop();
    await there.city.stop();
});
