#!/usr/bin/env node
// Sources that promise to report, and what happens when they do not.
import assert from 'node:assert/strict';
import { eventually } from '../lib/city.mjs';
import { startLd } from '../lib/ngsi.mjs';
import { run, test } from '../lib/tap.mjs';

const ld = await startLd();
const sources = async () => (await ld.city.get('/link/v1/sources')).json;
const property = (value) => ({ type: 'Property', value });
const report = (v) => ld.post('/entityOperations/upsert?options=update', [{ id: 'urn:ngsi-ld:Gauge:1', type: 'Gauge', level: property(v) }]);

test('a source is fresh, goes stale, raises an alert and comes back', async () => {
    await ld.create({
        id: 'urn:ngsi-ld:DataSource:river', type: 'DataSource', name: property('河川課'),
        updateInterval: property('PT2S'), covers: property({ type: 'Gauge' }),
    });
    await eventually(async () => (await sources())[0]?.status === 'silent');
    await report(1);
    const fresh = await eventually(async () => (await sources()).find((s) => s.status === 'fresh'));
    assert.equal(fresh.name, '河川課');
    assert.equal(fresh.type, 'Gauge');
    assert.equal(fresh.updateInterval, 2);
    const stale = await eventually(async () => (await sources()).find((s) => s.status === 'stale'));
    assert.equal(Date.parse(stale.staleSince), Date.parse(stale.lastUpdate) + 2000);
    const alert = await eventually(async () => (await ld.get('/entities?type=Alert&format=simplified')).json[0]);
    assert.equal(alert.category, 'dataSource');
    assert.equal(alert.subCategory, 'stale');
    assert.equal(alert.source, 'urn:ngsi-ld:DataSource:river');
    assert.equal((await ld.read('urn:ngsi-ld:DataSource:river')).status.value, 'stale');
    await report(2);
    await eventually(async () => (await ld.get('/entities?type=Alert&format=simplified')).json[0].validTo);
    assert.equal((await ld.get('/entities?type=Alert')).json.length, 1);
    assert.equal((await sources())[0].status, 'fresh');
});

test('a deleted source is forgotten', async () => {
    assert.equal((await ld.delete('/entities/urn:ngsi-ld:DataSource:river')).status, 204);
    await eventually(async () => (await sources()).length === 0);
});

test('an unknown tenant has no sources', async () => {
    const res = await ld.city.get('/link/v1/sources', { 'NGSILD-Tenant': 'nowhere' });
    assert.equal(res.status, 404);
});

await run(() => ld.city.stop());
