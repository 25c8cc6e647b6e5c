#!/usr/bin/env node
// axe-core finds nothing on any page in any language, in any of its states.
import assert from 'node:assert/strict';
import { startCity, eventually } from '../lib/city.mjs';
import { startEdge, together } from '../lib/edge.mjs';
import { desktop, languages, startBrowser, violations } from '../lib/browser.mjs';
import { run, test } from '../lib/tap.mjs';

const city = await startCity({ args: ['--demo', '--portal.console_token=a-token-for-tests'] });
const browser = await startBrowser();

const alert = { id: 'urn:ngsi-ld:Alert:test', type: 'Alert', name: { type: 'Property', value: '土砂災害警戒情報' }, description: { type: 'Property', value: '筑波地区に発表されました。' }, dateIssued: { type: 'Property', value: '2026-11-23T05:00:00Z' } };
const open = (n, occupancy) => ({ id: `urn:ngsi-ld:EvacuationShelter:test:${n}`, type: 'EvacuationShelter', name: { type: 'Property', value: `試験避難所${n}` }, status: { type: 'Property', value: 'open' }, occupancy: { type: 'Property', value: occupancy }, capacity: { type: 'Property', value: 100 }, location: { type: 'GeoProperty', value: { type: 'Point', coordinates: [140.08, 36.1] } } });
for (const entity of [alert, open(1, 20), open(2, 80), open(3, 130)]) assert.equal((await city.post('/ngsi-ld/v1/entities', entity)).status, 201);
const subscription = await city.post('/ngsi-ld/v1/subscriptions', { type: 'Subscription', subscriptionName: 'example', entities: [{ type: 'AED' }], notification: { endpoint: { uri: 'http://127.0.0.1:9/' } } });
assert.equal(subscription.status, 201);

// One import with mistakes, so that its report is there to look at.
async function importBadFile() {
    const page = await browser.newPage({ viewport: desktop });
    await page.goto(`${city.url}/ja/console/import`);
    await page.setInputFiles('#file', { name: 'aed.csv', mimeType: 'text/csv', buffer: Buffer.from('名称,住所,緯度,経度,設置位置\r\n庁舎,中央1,36.08,140.11,玄関\r\n,中央2,36.09,140.12,受付\r\n公園,中央3,あ,140.13,広場\r\n') });
    await page.selectOption('#kind', 'aed');
    await page.fill('#dataset', 'aed_test');
    await page.click('form.form button');
    await page.waitForURL(/import\/\d+$/);
    await page.waitForSelector('.report');
    const url = new URL(page.url()).pathname;
    await page.close();
    return url.replace(/^\/\w+\//, '');
}
const report = await importBadFile();
await eventually(async () => (await city.get('/link/v1/deliveries')).status === 200);

// A node, and a conflict with it.
async function disagree() {
    const bin = 'urn:ngsi-ld:WasteContainer:test';
    const full = (value) => ({ full: { type: 'Property', value } });
    assert.equal((await city.post('/ngsi-ld/v1/entities', { id: bin, type: 'WasteContainer', ...full(1) })).status, 201);
    const node = await startEdge(city, 'shelter-1', { args: ['--edge.types=WasteContainer'] });
    await together(city, node, '?types=WasteContainer');
    node.line.cut();
    for (const [side, value] of [[city, 2], [node, 3]])
        assert.equal((await side.patch(`/ngsi-ld/v1/entities/${bin}/attrs`, full(value))).status, 204);
    node.line.mend();
    await eventually(async () => (await city.get('/link/v1/conflicts')).json.length === 1);
    await node.stop();
}
await disagree();

const pages = ['', 'map', 'data', 'data/EvacuationShelter', 'data/AED?q=%E5%BA%81%E8%88%8E', 'data/AED?q=xyzzy', 'data/GtfsStop?page=2',
    'e/urn:ngsi-ld:WeatherObserved:demo:01', 'e/urn:ngsi-ld:GtfsRoute:demo:1', 'e/urn:ngsi-ld:EvacuationShelter:test:2', 'about', 'nothing',
    'console', 'console/import', report, 'console/sources', 'console/subscriptions', 'console/nodes', 'console/keys', 'console/policies', 'console/subscriptions/' + encodeURIComponent(subscription.headers.get('location').split('/').pop())];

for (const language of languages) {
    test(`${language}: ${pages.length} pages without a finding`, async () => {
        const context = await browser.newContext({ viewport: desktop, bypassCSP: true });
        const page = await context.newPage();
        const found = [];
        for (const path of pages) {
            await page.goto(`${city.url}/${language}${path ? '/' : ''}${path}`);
            if (path === 'map') await page.waitForFunction(() => document.getElementById('map').dataset.ready === 'yes');
            for (const violation of await violations(page)) found.push(`/${language}/${path}: ${violation}`);
        }
        await context.close();
        assert.deepEqual(found, []);
    });
}

test('menu open, panel open, empty form, login refused: no finding', async () => {
    const context = await browser.newContext({ viewport: desktop, bypassCSP: true });
    const page = await context.newPage();
    const found = [];
    const check = async (what) => {
        for (const violation of await violations(page)) found.push(`${what}: ${violation}`);
    };
    await page.goto(`${city.url}/ja`);
    await page.click('details.languages summary');
    await check('menu');
    await page.goto(`${city.url}/ja/map?id=urn:ngsi-ld:EvacuationShelter:test:2&at=140.08,36.1,15`);
    await page.waitForSelector('#panel h2');
    await check('panel');
    await page.goto(`${city.url}/ja/console/import`);
    await page.$eval('#file', (input) => input.removeAttribute('required'));
    await page.click('form.form button');
    await page.waitForSelector('[role=alert]');
    await check('empty form');
    const remote = await browser.newContext({ viewport: desktop, bypassCSP: true, extraHTTPHeaders: { 'X-Forwarded-For': '192.0.2.1' } });
    const login = await remote.newPage();
    await login.goto(`${city.url}/en/console`);
    for (const violation of await violations(login)) found.push(`login: ${violation}`);
    await login.fill('#token', 'wrong');
    await login.click('form.form button');
    await login.waitForSelector('[role=alert]');
    for (const violation of await violations(login)) found.push(`login refused: ${violation}`);
    await remote.close();
    await context.close();
    assert.deepEqual(found, []);
});

// The colours are then the reader's own, so contrast is not ours to measure.
test('in forced colours: no finding', async () => {
    const context = await browser.newContext({ viewport: desktop, bypassCSP: true, forcedColors: 'active', colorScheme: 'dark' });
    const page = await context.newPage();
    const found = [];
    for (const path of ['', '/data/AED', '/e/urn:ngsi-ld:WeatherObserved:demo:01', '/console']) {
        await page.goto(`${city.url}/ja${path}`);
        found.push(...await violations(page, ['color-contrast']));
    }
    await context.close();
    assert.deepEqual(found, []);
});

await run(async () => {
    await browser.close();
    await city.stop();
});
