#!/usr/bin/env node
// Writes that context sources have a part in (clauses 4.3.6, 5.6, 6.3.17, 6.3.18).
import assert from 'node:assert/strict';
import { test, run } from '../lib/tap.mjs';
import { base, startLd, assertError, contextLink, errors } from '../lib/ngsi.mjs';
import { startSource, register } from '../lib/source.mjs';

const ld = await startLd({ args: ['--client.allow_private=true', '--link.forward_ms=1000', '--link.forward_cooldown_ms=0'] });
const source = await startSource();
let n = 0;
const types = new Map();
const fresh = (type = 'Vehicle') => {
    const id = `urn:ngsi-ld:${type}:w${++n}`;
    types.set(id, type);
    return id;
};
const vehicle = (id, more = {}) => ({ id, type: types.get(id), speed: { type: 'Property', value: 80 }, brand: { type: 'Property', value: 'Asahi' }, ...more });
const iri = (name) => `https://uri.etsi.org/ngsi-ld/default-context/${name}`;
const here = async (id) => ld.get(`/entities/${id}?local=true`);
// registers at /a (or elsewhere), removes it when fn is done
const withReg = async (entities, more, fn, at = '/a') => {
    const id = await register(ld, source.url + at, entities, { operations: ['redirectionOps'], ...more });
    source.take();
    try {
        await fn(id);
    } finally {
        source.replies.clear();
        source.answer = null;
        assert.equal((await ld.delete(`/csourceRegistrations/${id}`)).status, 204);
    }
};
const one = () => {
    const got = source.take();
    assert.equal(got.length, 1, JSON.stringify(got.map((r) => `${r.method} ${r.target}`)));
    return got[0];
};
test('create: an inclusive source gets what was sent, and so does this store', async () => {
    const id = fresh();
    await withReg({ type: 'Vehicle' }, {}, async () => {
        source.reply('POST', '/a' + base + '/entities', 201);
        const res = await ld.post('/entities', vehicle(id));
        assert.equal(res.status, 201, res.text);
        assert.equal(res.headers.get('location'), `${base}/entities/${id}`);
        const got = one();
        assert.equal(got.method, 'POST');
        assert.deepEqual(got.json, vehicle(id));
        const alias = (await ld.get('/info/sourceIdentity')).json.contextSourceAlias;
        assert.equal(got.headers.via, `1.1 ${alias}`);
        assert.equal((await here(id)).status, 200);
    });
});

test('create: local=true, other types and auxiliary sources are not forwarded', async () => {
    await withReg({ type: 'Vehicle' }, {}, async () => {
        assert.equal((await ld.post('/entities?local=true', vehicle(fresh()))).status, 201);
        assert.equal((await ld.post('/entities', { id: 'urn:x:bus', type: 'Bus' })).status, 201);
    });
    await withReg({ type: 'Vehicle' }, { mode: 'auxiliary', operations: ['retrieveOps'] }, async () => {
        assert.equal((await ld.post('/entities', vehicle(fresh()))).status, 201);
    });
    await withReg({ type: 'Vehicle' }, { operations: ['retrieveOps'] }, async () => {
        assert.equal((await ld.post('/entities', vehicle(fresh()))).status, 201);
    });
    assert.equal(source.take().length, 0);
});

test('create: what redirect and exclusive registrations name is not kept here', async () => {
    const whole = fresh('Van'), split = fresh();
    await withReg({ type: 'Van' }, { mode: 'redirect' }, async () => {
        source.reply('POST', '/a' + base + '/entities', 201);
        const res = await ld.post('/entities', vehicle(whole));
        assert.equal(res.status, 201, res.text);
        assert.equal(res.headers.get('location'), `${base}/entities/${whole}`);
        assert.deepEqual(one().json, vehicle(whole));
        assertError(await here(whole), 404, 'ResourceNotFound');
    });
    await withReg({ id: split, type: 'Vehicle' }, { mode: 'exclusive', propertyNames: ['speed'] }, async () => {
        source.reply('POST', '/a' + base + '/entities', 201);
        assert.equal((await ld.post('/entities', vehicle(split))).status, 201);
        const got = one().json;
        assert.deepEqual(Object.keys(got), ['id', 'type', 'speed']);
        const kept = (await here(split)).json;
        assert.deepEqual(Object.keys(kept), ['id', 'type', 'brand']);
    });
});

test('create: a source that cannot do it is a conflict, alone or as a part', async () => {
    const whole = fresh('Van'), split = fresh();
    await withReg({ type: 'Van' }, { mode: 'redirect', operations: ['retrieveOps'] }, async () => {
        assertError(await ld.post('/entities', vehicle(whole)), 409, 'Conflict');
        assert.equal((await here(whole)).status, 404);
    });
    await withReg({ id: split, type: 'Vehicle' }, { mode: 'exclusive', propertyNames: ['speed'], operations: ['retrieveOps'] }, async (reg) => {
        const res = await ld.post('/entities', vehicle(split));
        assert.equal(res.status, 207, res.text);
        assert.deepEqual(res.json.success, [split]);
        assert.equal(res.json.errors.length, 1);
        assert.equal(res.json.errors[0].entityId, split);
        assert.equal(res.json.errors[0].registrationId, reg);
        assert.equal(res.json.errors[0].error.type, errors + 'Conflict');
        assert.equal(res.json.errors[0].error.status, 409);
    });
    assert.equal(source.take().length, 0);
});

test('create: it is here already, the source makes it', async () => {
    const id = await ld.create(vehicle(fresh()));
    await withReg({ id, type: 'Vehicle' }, {}, async () => {
        source.reply('POST', '/a' + base + '/entities', 201);
        const res = await ld.post('/entities', vehicle(id));
        assert.equal(res.status, 207, res.text);
        assert.equal(res.json.errors.length, 1);
        assert.equal(res.json.errors[0].error.status, 409);
        assert.equal(res.json.errors[0].error.type, errors + 'AlreadyExists');
        assert.equal(res.json.errors[0].registrationId, undefined);
        // both say so: that is the answer
        source.reply('POST', '/a' + base + '/entities', 409, { type: errors + 'AlreadyExists', title: 'x', status: 409 });
        assertError(await ld.post('/entities', vehicle(id)), 409, 'AlreadyExists');
    });
});

test('delete: here and there', async () => {
    const both = await ld.create(vehicle(fresh())), there = fresh(), only = await ld.create(vehicle(fresh())), gone = fresh();
    await withReg({ type: 'Vehicle' }, {}, async () => {
        for (const id of [both, there]) source.reply('DELETE', `/a${base}/entities/${id}`, 204);
        assert.equal((await ld.delete(`/entities/${both}`)).status, 204);
        const part = await ld.delete(`/entities/${there}`);
        assert.equal(part.status, 207, part.text);
        assert.equal(part.json.errors[0].error.status, 404);
        const other = await ld.delete(`/entities/${only}`);
        assert.equal(other.status, 207, other.text);
        assert.equal(other.json.errors.length, 1);
        assert.equal((await here(only)).status, 404);
        assertError(await ld.delete(`/entities/${gone}`), 404, 'ResourceNotFound');
        assert.equal(source.take().length, 4);
        // an entity of another type is nobody else's business
        await ld.create({ id: 'urn:x:tram', type: 'Tram' });
        assert.equal((await ld.delete('/entities/urn:x:tram')).status, 204);
        assert.equal(source.take().length, 0);
    });
    await withReg({ type: 'Van' }, { mode: 'redirect' }, async () => {
        source.reply('DELETE', `/a${base}/entities/${there}`, 204);
        assert.equal((await ld.delete(`/entities/${there}`)).status, 204, 'it need not be here');
    });
});

test('replace and merge', async () => {
    const id = await ld.create(vehicle(fresh()));
    await withReg({ type: 'Vehicle' }, {}, async () => {
        source.reply('PUT', `/a${base}/entities/${id}`, 204);
        assert.equal((await ld.put(`/entities/${id}`, { type: 'Vehicle', speed: 5 })).status, 204);
        const put = one();
        assert.equal(put.json.id, id);
        assert.equal(put.json.speed, 5);
        source.reply('PATCH', `/a${base}/entities/${id}`, 204);
        assert.equal((await ld.patch(`/entities/${id}?options=keyValues`, { speed: 6 }, { type: 'application/merge-patch+json' })).status, 204);
        const patch = one();
        assert.equal(patch.query.get('options'), 'keyValues');
        assert.deepEqual(patch.json, { speed: 6 });
        assert.equal((await here(id)).json.speed.value, 6);
        source.reply('PATCH', `/a${base}/entities/${id}`, 500);
        const res = await ld.patch(`/entities/${id}`, { speed: 7 });
        assert.equal(res.status, 207, res.text);
        assert.equal(res.json.errors[0].error.status, 502);
    });
});

test('append and update of attributes: an UpdateResult', async () => {
    const id = fresh();
    await ld.create({ id, type: 'Vehicle', brand: 'Asahi' });
    await withReg({ id, type: 'Vehicle' }, { mode: 'exclusive', propertyNames: ['speed'] }, async (reg) => {
        const attrs = `/a${base}/entities/${id}/attrs/`;
        source.reply('POST', attrs, 204);
        assert.equal((await ld.post(`/entities/${id}/attrs?options=noOverwrite`, { speed: 9, colour: 'red' })).status, 204);
        const got = one();
        assert.equal(got.query.get('options'), 'noOverwrite');
        assert.deepEqual(got.json, { speed: 9 });
        source.reply('PATCH', attrs, 404, { type: errors + 'ResourceNotFound', title: 'no', detail: 'no such vehicle' });
        const res = await ld.patch(`/entities/${id}/attrs`, { speed: 10, brand: 'Hino' });
        assert.equal(res.status, 207, res.text);
        assert.deepEqual(res.json.updated, [iri('brand')]);
        assert.deepEqual(res.json.notUpdated, [{ attributeName: iri('speed'), reason: 'no such vehicle', registrationId: reg }]);
        // a source that did a part says which
        source.reply('POST', attrs, 207, { updated: [], notUpdated: [{ attributeName: 'speed', reason: 'worn out' }] });
        const part = await ld.post(`/entities/${id}/attrs`, { speed: 10, brand: 'Isuzu' });
        assert.equal(part.status, 207, part.text);
        assert.deepEqual(part.json.updated, [iri('brand')]);
        assert.deepEqual(part.json.notUpdated.map((x) => x.reason), ['worn out']);
        // nothing is this store's
        source.reply('PATCH', attrs, 403, { title: 'closed', type: 'about:blank' });
        assert.equal((await ld.patch(`/entities/${id}/attrs`, { speed: 10 })).status, 403);
    });
});

test('one attribute: partial update, replacement, deletion', async () => {
    const id = await ld.create(vehicle(fresh()));
    await withReg({ id, type: 'Vehicle' }, { mode: 'exclusive', propertyNames: ['load'] }, async () => {
        const attr = `/a${base}/entities/${id}/attrs/load`;
        source.reply('PATCH', attr, 204);
        source.reply('PUT', attr, 204);
        source.reply('DELETE', attr, 204);
        assert.equal((await ld.patch(`/entities/${id}/attrs/load`, { value: 3 })).status, 204);
        assert.deepEqual(one().json, { value: 3 });
        assert.equal((await ld.put(`/entities/${id}/attrs/load`, { type: 'Property', value: 4 })).status, 204);
        assert.deepEqual(one().json, { type: 'Property', value: 4 });
        assert.equal((await ld.delete(`/entities/${id}/attrs/load?deleteAll=true`)).status, 204);
        assert.equal(one().query.get('deleteAll'), 'true');
        assert.equal((await here(id)).json.load, undefined);
        assert.equal((await ld.patch(`/entities/${id}/attrs/brand`, { value: 'x' })).status, 204, 'not the source\'s');
        assert.equal(source.take().length, 0);
    });
    await withReg({ type: 'Vehicle' }, {}, async (reg) => {
        source.reply('PATCH', `/a${base}/entities/${id}/attrs/brand`, 404);
        const res = await ld.patch(`/entities/${id}/attrs/brand`, { value: 'y' });
        assert.equal(res.status, 207, res.text);
        assert.deepEqual(res.json.updated, [iri('brand')]);
        assert.equal(res.json.notUpdated[0].registrationId, reg);
    });
});

test('batches: one request for a source that knows them', async () => {
    const ids = [fresh(), fresh()];
    await withReg({ type: 'Vehicle' }, { operations: ['createBatch', 'upsertBatch', 'updateBatch', 'deleteBatch', 'mergeBatch'] }, async (reg) => {
        const op = (name, status, body) => source.reply('POST', `/a${base}/entityOperations/${name}`, status, body);
        op('create', 201, ids);
        const other = fresh();
        const made = await ld.post('/entityOperations/create', [...ids.map((id) => vehicle(id)), { id: other, type: 'Bus' }]);
        assert.equal(made.status, 201, made.text);
        assert.deepEqual(made.json, [...ids, other]);
        assert.deepEqual(one().json, ids.map((id) => vehicle(id)), 'the bus stays here');
        op('upsert', 204);
        assert.equal((await ld.post('/entityOperations/upsert?options=update', ids.map((id) => vehicle(id)))).status, 204);
        assert.equal(one().query.get('options'), 'update');
        op('update', 207, { success: [ids[0]], errors: [{ entityId: ids[1], error: { type: errors + 'ResourceNotFound', title: 'gone', status: 404 } }] });
        const mixed = await ld.post('/entityOperations/update', ids.map((id) => ({ id, type: 'Vehicle', speed: 1 })));
        assert.equal(mixed.status, 207, mixed.text);
        assert.deepEqual(mixed.json.success, ids, 'this store did both');
        assert.deepEqual(mixed.json.errors, [{ entityId: ids[1], registrationId: reg, error: { type: errors + 'ResourceNotFound', title: 'gone', status: 404 } }]);
        one();
        op('merge', 503);
        const merged = await ld.post('/entityOperations/merge', ids.map((id) => ({ id, speed: 2 })));
        assert.equal(merged.status, 207, merged.text);
        assert.deepEqual(merged.json.errors.map((e) => [e.entityId, e.error.status]), ids.map((id) => [id, 502]));
        one();
        op('delete', 204);
        assert.equal((await ld.post('/entityOperations/delete', ids)).status, 204);
        assert.deepEqual(one().json, ids);
    });
});

test('batches: one by one for a source that does not', async () => {
    const ids = [fresh('Van'), fresh('Van')];
    await withReg({ type: 'Van' }, { mode: 'redirect' }, async () => {
        source.answer = (req, res) => {
            const there = req.json?.id === ids[1];
            if (req.method === 'POST') res.writeHead(there ? 409 : 201).end();
            else res.writeHead(204).end();
            return true;
        };
        const res = await ld.post('/entityOperations/upsert', ids.map((id) => vehicle(id)));
        assert.equal(res.status, 201, res.text);
        assert.deepEqual(res.json, [ids[0]], 'the other was there');
        assert.deepEqual(source.take().map((r) => `${r.method} ${r.path}`).sort(),
            [`POST /a${base}/entities`, `POST /a${base}/entities`, `PUT /a${base}/entities/${ids[1]}`]);
        assert.equal((await ld.post('/entityOperations/merge', ids.map((id) => ({ id, type: 'Van', speed: 2 })))).status, 204);
        assert.deepEqual(source.take().map((r) => r.method), ['PATCH', 'PATCH']);
        assert.equal((await here(ids[0])).status, 404);
    });
    await withReg({ type: 'Van' }, { mode: 'redirect', operations: ['retrieveOps'] }, async () => {
        const res = await ld.post('/entityOperations/create', [vehicle(ids[0]), { id: fresh(), type: 'Bus' }]);
        assert.equal(res.status, 207, res.text);
        assert.equal(res.json.success.length, 1);
        assert.equal(res.json.errors[0].error.type, errors + 'Conflict');
        assert.equal(source.take().length, 0);
    });
});

test('purge', async () => {
    const id = fresh('Bin');
    await ld.create(vehicle(id));
    await withReg({ type: 'Bin' }, {}, async () => {
        source.reply('DELETE', '/a' + base + '/entities', 204);
        assert.equal((await ld.delete('/entities?type=Bin&drop=speed')).status, 204);
        assert.equal(one().target, `/a${base}/entities?type=Bin&drop=speed`);
        assert.equal((await here(id)).json.speed, undefined);
        assert.equal((await ld.delete('/entities?type=Bin&local=true')).status, 204);
        assert.equal((await ld.delete('/entities?type=Other')).status, 204);
        assert.equal(source.take().length, 0);
    });
    await ld.create(vehicle(id));
    await withReg({ id, type: 'Bin' }, { mode: 'exclusive', propertyNames: ['fill'], operations: ['retrieveOps'] }, async (reg) => {
        const res = await ld.delete('/entities?type=Bin');
        assert.equal(res.status, 207, res.text);
        assert.equal(res.json.errors[0].registrationId, reg);
        assert.equal(res.json.errors[0].error.type, errors + 'Conflict');
        assert.equal((await here(id)).status, 404);
    });
});

test('evolution', async () => {
    const id = fresh();
    const at = '2026-01-01T00:00:00Z';
    const body = { id, type: 'Vehicle', speed: [{ type: 'Property', value: 1, observedAt: at }], brand: [{ type: 'Property', value: 'x', observedAt: at }] };
    const operations = ['upsertTemporal', 'appendAttrsTemporal', 'deleteAttrsTemporal', 'updateAttrInstanceTemporal', 'deleteAttrInstanceTemporal', 'deleteTemporal'];
    await withReg({ id, type: 'Vehicle' }, { mode: 'exclusive', propertyNames: ['speed'], operations }, async () => {
        const t = `/a${base}/temporal/entities`;
        source.reply('POST', t, 201);
        const made = await ld.post('/temporal/entities', body);
        assert.equal(made.status, 201, made.text);
        assert.deepEqual(Object.keys(one().json), ['id', 'type', 'speed']);
        const kept = (await ld.get(`/temporal/entities/${id}?local=true`)).json;
        assert.equal(kept.speed, undefined);
        assert.ok(kept.brand);
        source.reply('POST', `${t}/${id}/attrs/`, 204);
        assert.equal((await ld.post(`/temporal/entities/${id}/attrs`, { speed: [{ type: 'Property', value: 2, observedAt: at }] })).status, 204);
        one();
        const instance = 'urn:ngsi-ld:Instance:7';
        source.reply('PATCH', `${t}/${id}/attrs/speed/${instance}`, 204);
        source.reply('DELETE', `${t}/${id}/attrs/speed/${instance}`, 204);
        assert.equal((await ld.patch(`/temporal/entities/${id}/attrs/speed/${instance}`, { value: 3, type: 'Property' })).status, 204);
        one();
        assert.equal((await ld.delete(`/temporal/entities/${id}/attrs/speed/${instance}`)).status, 204);
        one();
        assert.equal((await ld.delete(`/temporal/entities/${id}/attrs/brand/${instance}`)).status, 404);
        source.reply('DELETE', `${t}/${id}/attrs/speed`, 204);
        assert.equal((await ld.delete(`/temporal/entities/${id}/attrs/speed`)).status, 204);
        one();
        source.reply('DELETE', `${t}/${id}`, 204);
        assert.equal((await ld.delete(`/temporal/entities/${id}`)).status, 204);
        one();
        assert.equal((await ld.get(`/temporal/entities/${id}?local=true`)).status, 404);
    });
});

test('loops are found, by a name for each tenant', async () => {
    const id = await ld.create(vehicle(fresh()));
    const alias = (await ld.get('/info/sourceIdentity')).json.contextSourceAlias;
    const via = { Via: `1.1 elsewhere (a, comment), HTTP/1.1 ${alias}` };
    assertError(await ld.delete(`/entities/${id}`, via), 508, 'LoopDetected');
    assertError(await ld.post('/entityOperations/delete', [id], { headers: via }), 508, 'LoopDetected');
    assert.equal((await here(id)).status, 200);
    await withReg({ type: 'Vehicle' }, {}, async () => {
        source.reply('DELETE', `/a${base}/entities/${id}`, 204);
        const res = await ld.delete(`/entities/${id}`, { Via: '1.0 elsewhere' });
        assert.equal(res.status, 204, res.text);
        assert.equal(one().headers.via, `1.0 elsewhere, 1.1 ${alias}`);
    });
});

test('what goes with a request: tenant, headers, contexts', async () => {
    const id = fresh(), context = { '@context': { speed: 'https://x.example/speed', Vehicle: 'https://x.example/Vehicle' } };
    const url = new URL((await ld.post('/jsonldContexts', context)).headers.get('location'), ld.city.url).href;
    const info = [{ key: 'X-Key', value: 'k' }, { key: 'X-Asked', value: 'urn:ngsi-ld:request' }];
    await withReg({ id, type: 'https://x.example/Vehicle' }, { tenant: 'theirs', contextSourceInfo: info }, async () => {
        source.reply('POST', '/a' + base + '/entities', 201);
        const res = await ld.post('/entities', vehicle(id), { headers: { ...contextLink(url), 'X-Asked': 'yes', Authorization: 'Bearer s' } });
        assert.equal(res.status, 201, res.text);
        const got = one();
        assert.equal(got.headers['ngsild-tenant'], 'theirs');
        assert.equal(got.headers['x-key'], 'k');
        assert.equal(got.headers['x-asked'], 'yes');
        assert.equal(got.headers.authorization, undefined, 'only what the registration names');
        assert.match(got.headers.link, new RegExp(url.replace(/.*jsonldContexts/, '')));
        assert.equal(got.headers['content-type'], 'application/json');
    });
    const inside = fresh();
    await withReg({ id: inside, type: 'https://x.example/Vehicle' }, { contextSourceInfo: [{ key: 'contentType', value: 'application/ld+json' }] }, async () => {
        source.reply('POST', '/a' + base + '/entities', 201);
        assert.equal((await ld.post('/entities', vehicle(inside), { headers: contextLink(url) })).status, 201);
        const got = one();
        assert.equal(got.headers['content-type'], 'application/ld+json');
        assert.equal(got.headers.link, undefined);
        assert.ok(got.json['@context']);
    });
    const theirs = fresh();
    const their = new URL((await ld.post('/jsonldContexts', { '@context': { velocity: 'https://x.example/speed', Car: 'https://x.example/Vehicle' } })).headers.get('location'), ld.city.url).href;
    await withReg({ id: theirs, type: 'https://x.example/Vehicle' }, { contextSourceInfo: [{ key: 'jsonldContext', value: their }] }, async () => {
        source.reply('POST', '/a' + base + '/entities', 201);
        const body = { ...vehicle(theirs, { speed: { type: 'Property', value: 1, brand: { type: 'Property', value: 'y' } } }), '@context': [context['@context']] };
        const res = await ld.post('/entities', body, { type: 'application/ld+json' });
        assert.equal(res.status, 201, res.text);
        const got = one();
        assert.equal(got.headers['content-type'], 'application/json');
        assert.match(got.headers.link, /jsonldContexts/);
        assert.equal(got.json['@context'], undefined);
        assert.equal(got.json.type, 'Car');
        assert.equal(got.json.velocity.value, 1);
        assert.equal(got.json.velocity.brand.value, 'y');
        source.reply('PATCH', `/a${base}/entities/${theirs}/attrs/velocity`, 204);
        assert.equal((await ld.patch(`/entities/${theirs}/attrs/${encodeURIComponent('https://x.example/speed')}`, { value: 2 })).status, 204);
        assert.equal(one().path, `/a${base}/entities/${theirs}/attrs/velocity`);
    });
});

test('a source that is down, slow or hostile', async () => {
    const id = fresh();
    await withReg({ id, type: 'Vehicle' }, { mode: 'redirect' }, async () => {
        const patch = () => ld.patch(`/entities/${id}/attrs`, { speed: 1 });
        await source.down();
        assert.equal((await patch()).status, 502);
        await source.up();
        const stall = (req, res) => { setTimeout(() => res.destroy(), 8000).unref(); return true; };
        source.answer = stall;
        const slow = await patch();
        assert.equal(slow.status, 504, slow.text);
        const bad = async (fn) => {
            source.answer = (req, res) => { fn(res); return true; };
            return (await patch()).status;
        };
        assert.equal(await bad((res) => res.socket.end('no http at all\r\n\r\n')), 502);
        assert.equal(await bad((res) => res.writeHead(302, { Location: 'http://192.0.2.1/' }).end()), 502);
        assert.equal(await bad((res) => res.writeHead(307, { Location: 'http://192.0.2.1/' }).end()), 502);
        assert.equal(await bad((res) => res.writeHead(207).end('{"notUpdated":')), 502);
        assert.equal(await bad((res) => res.writeHead(207).end('['.repeat(100000))), 502);
        assert.equal(await bad((res) => res.writeHead(400).end('{"title":5,"type":{"a":1},"detail":"\u0001<b>"}')), 400);
        assert.equal(await bad((res) => res.writeHead(200).end('x'.repeat(9 << 20))), 502, 'longer than link.forward_bytes');
        assert.equal(await bad((res) => res.writeHead(508).end()), 508);
        assert.equal(await bad((res) => res.writeHead(204).end()), 204);
    });
});

test('a source that fails cools down', async () => {
    const id = fresh();
    await withReg({ id, type: 'Vehicle' }, { mode: 'redirect', management: { cooldown: 3600000 } }, async (reg) => {
        source.reply('PATCH', `/a${base}/entities/${id}/attrs/`, 503);
        assert.equal((await ld.patch(`/entities/${id}/attrs`, { speed: 1 })).status, 502);
        source.reply('PATCH', `/a${base}/entities/${id}/attrs/`, 204);
        assert.equal((await ld.patch(`/entities/${id}/attrs`, { speed: 1 })).status, 504, 'not asked');
        assert.equal(source.take().length, 1);
        const shown = (await ld.get(`/csourceRegistrations/${reg}`)).json;
        assert.equal(shown.timesSent, 1);
        assert.equal(shown.timesFailed, 1);
        assert.ok(shown.lastFailure);
    });
});

test('rights count for what goes to a source too', async () => {
    const id = fresh('Valve');
    await withReg({ type: 'Valve' }, { mode: 'redirect', operations: ['redirectionOps', 'updateBatch'] }, async () => {
        source.reply('PATCH', `/a${base}/entities/${id}/attrs/`, 204);
        source.reply('POST', `/a${base}/entityOperations/update`, 204);
        const put = await ld.city.put('/link/v1/policies/everyone', { rules: [{ effect: 'deny', rights: ['write'], types: ['Valve'], attrs: ['speed'] }] });
        assert.equal(put.status, 200, put.text);
        try {
            assert.equal((await ld.patch(`/entities/${id}/attrs?type=Valve`, { brand: 'x', type: 'Valve' })).status, 204);
            one();
            assert.equal((await ld.patch(`/entities/${id}/attrs?type=Valve`, { speed: 1, type: 'Valve' })).status, 403);
            const batch = await ld.post('/entityOperations/update', [{ id, type: 'Valve', speed: 1 }]);
            assert.equal(batch.json.errors[0].error.status, 403, batch.text);
            assert.equal(source.take().length, 0, 'it is not told');
        } finally {
            await ld.city.delete('/link/v1/policies/everyone');
        }
    });
});

await run(async () => {
    await source.down();
    await ld.city.stop();
});
