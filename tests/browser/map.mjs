#!/usr/bin/env node
// The map in a real browser: tiles, layers, panel, list for the keyboard, changes within a second.
import assert from 'node:assert/strict';
import { startCity, eventually } from '../lib/city.mjs';
import { desktop, phone, startBrowser, watch } from '../lib/browser.mjs';
import { run, test } from '../lib/tap.mjs';

const city = await startCity();
const browser = await startBrowser();
const place = (type, n, lon, lat, more = {}) => ({
    id: `urn:ngsi-ld:${type}:${n}`, type,
    name: { type: 'Property', value: `${type} ${n}` },
    location: { type: 'GeoProperty', value: { type: 'Point', coordinates: [lon, lat] } },
    ...more,
});
const area = {
    id: 'urn:ngsi-ld:AdministrativeArea:1', type: 'AdministrativeArea', name: { type: 'Property', value: '北地区' }, partOf: { type: 'Relationship', object: 'urn:ngsi-ld:AdministrativeArea:city' },
    location: { type: 'GeoProperty', value: { type: 'Polygon', coordinates: [[[140, 36], [140.2, 36], [140.2, 36.2], [140, 36.2], [140, 36]]] } },
};
const all = [area];
for (let i = 0; i < 30; i++) all.push(place('AED', i, 140.05 + 0.002 * i, 36.08 + 0.001 * i));
for (let i = 0; i < 5; i++) all.push(place('EvacuationShelter', i, 140.08 + 0.004 * i, 36.1, { status: { type: 'Property', value: i ? 'closed' : 'open' } }));
const made = await city.post('/ngsi-ld/v1/entityOperations/create', all);
assert.equal(made.status, 201, made.text);

const ready = (page) => page.waitForFunction(() => document.getElementById('map').dataset.ready === 'yes', undefined, { timeout: 20000 });

async function openMap(path, options, use) {
    const context = await browser.newContext({ viewport: desktop, ...options });
    try {
        const page = await context.newPage();
        const errors = watch(page);
        await page.goto(`${city.url}${path}`);
        await ready(page);
        await use(page, errors);
    } finally {
        await context.close();
    }
}

test('it draws tiles of its own without any other server', async () => {
    const context = await browser.newContext({ viewport: desktop });
    const asked = [];
    context.on('request', (request) => asked.push(new URL(request.url())));
    const page = await context.newPage();
    const errors = watch(page);
    await page.goto(`${city.url}/ja/map`);
    await ready(page);
    await context.close();
    const web = asked.filter((url) => url.protocol.startsWith('http'));
    assert.deepEqual([...new Set(web.map((url) => url.host))], [new URL(city.url).host]);
    assert.ok(web.some((url) => /^\/tiles\/.*\.mvt$/.test(url.pathname)));
    assert.deepEqual(errors, []);
});

test('places in view are a list of buttons that open the panel and lead to the page', () => openMap('/en/map?at=140.08,36.1,16', {}, async (page) => {
    const button = page.locator('#places button', { hasText: 'EvacuationShelter 0' });
    await button.waitFor();
    await button.focus();
    await page.keyboard.press('Enter');
    await page.waitForSelector('#panel h2');
    assert.equal(await page.textContent('#panel h2'), 'EvacuationShelter 0');
    assert.equal(await page.evaluate(() => document.activeElement.tagName), 'H2');
    await page.keyboard.press('Escape');
    assert.equal(await page.locator('#panel').isVisible(), false);
    await button.click();
    await page.click('#panel a.button');
    await page.waitForURL(/\/en\/e\/urn/);
}));

test('a click on a sign opens its panel', () => openMap('/ja/map?at=140.08,36.1,16', {}, async (page) => {
    const box = await page.locator('#map').boundingBox();
    await page.mouse.click(box.x + box.width / 2, box.y + box.height / 2);
    await page.waitForSelector('#panel h2');
    assert.equal(await page.textContent('#panel h2'), 'EvacuationShelter 0');
}));

test('layers can be switched off and on', () => openMap('/en/map?at=140.08,36.1,15', {}, async (page) => {
    const shelters = page.locator('#places button', { hasText: 'EvacuationShelter' });
    await shelters.first().waitFor();
    await page.uncheck('input[value=EvacuationShelter]');
    await page.waitForFunction(() => ![...document.querySelectorAll('#places button')].some((b) => b.textContent.includes('EvacuationShelter')));
    await page.check('input[value=AED]');
    await page.check('input[value=EvacuationShelter]');
    await shelters.first().waitFor();
    await page.locator('#places button', { hasText: 'AED' }).first().waitFor();
}));

test('a change is on the map within a second', () => openMap('/ja/map?at=140.08,36.1,15', {}, async (page) => {
    await page.waitForFunction(() => document.getElementById('map-status').textContent !== '');
    await eventually(async () => (await page.textContent('#map-status')).includes('すぐに'));
    const marks = () => page.evaluate(() => Number(document.getElementById('map').dataset.changes ?? 0));
    for (let i = 0; i < 3; i++) {
        const before = await marks();
        const sent = performance.now();
        const res = await city.patch('/ngsi-ld/v1/entities/urn:ngsi-ld:EvacuationShelter:1/attrs', { status: { type: 'Property', value: i % 2 ? 'closed' : 'open' } });
        assert.equal(res.status, 204);
        await page.waitForFunction((old) => Number(document.getElementById('map').dataset.changes ?? 0) > old, before, { timeout: 5000, polling: 20 });
        assert.ok(performance.now() - sent < 1000, `${performance.now() - sent} ms`);
    }
}));

test('a new place appears without reloading, a deleted one goes', () => openMap('/en/map?at=140.15,36.15,16', {}, async (page) => {
    await eventually(async () => (await page.textContent('#map-status')).includes('at once'));
    const fresh = place('EvacuationShelter', 'new', 140.15, 36.15, { status: { type: 'Property', value: 'open' } });
    assert.equal((await city.post('/ngsi-ld/v1/entities', fresh)).status, 201);
    const button = page.locator('#places button', { hasText: 'EvacuationShelter new' });
    await button.waitFor({ timeout: 3000 });
    assert.equal((await city.delete(`/ngsi-ld/v1/entities/${fresh.id}`)).status, 204);
    await button.waitFor({ state: 'detached', timeout: 3000 });
}));

test('on a phone the map comes first, then the layers', () => openMap('/ja/map', { viewport: phone }, async (page) => {
    const map = await page.locator('#map').boundingBox();
    const layers = await page.locator('.map-layers').boundingBox();
    assert.ok(map.y < layers.y && map.width >= 380 && map.height >= 320);
}));

test('without WebGL the lists stay and the reader is told', async () => {
    const plain = await browser.newContext({ viewport: desktop });
    await plain.addInitScript(() => { HTMLCanvasElement.prototype.getContext = () => null; });
    const page = await plain.newPage();
    await page.goto(`${city.url}/en/map`);
    await page.waitForFunction(() => /could not be shown/.test(document.getElementById('map-status').textContent), undefined, { timeout: 10000 });
    assert.ok(await page.locator('.layer-list').count() >= 2);
    await plain.close();
});

await run(async () => {
    await browser.close();
    await city.stop();
});
