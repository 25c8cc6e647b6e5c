#!/usr/bin/env node
// What a policy costs those who read: one entity by id and a query of 20, in a tenant where a policy hides
// an attribute from everybody who asks, beside a tenant without policies that holds the same entities.
import { cpuTime, startRelease, wrk, pin, sensor, median, report, format, quick } from './lib.mjs';

const city = await startRelease({ args: ['--http.workers=1'] });
for (const tenant of ['open', 'ruled'])
    for (let i = 0; i < 1000; i += 500) {
        const batch = Array.from({ length: 500 }, (_, k) => sensor(i + k));
        const res = await city.post('/ngsi-ld/v1/entityOperations/create', batch, { headers: { 'NGSILD-Tenant': tenant } });
        if (res.status !== 201) throw new Error(`batch create: ${res.status} ${res.text.slice(0, 300)}`);
    }
const one = '/ngsi-ld/v1/entities/urn:ngsi-ld:AirQualityObserved:bench-0000500';
const page = '/ngsi-ld/v1/entities?type=AirQualityObserved&limit=20';
const hide = await city.put('/link/v1/policies/everyone', {
    rules: [{ effect: 'deny', rights: ['read'], types: ['AirQualityObserved'], attrs: ['refDevice'] }],
}, { headers: { 'NGSILD-Tenant': 'ruled' } });
if (hide.status >= 300) throw new Error(`policy: ${hide.status} ${hide.text}`);
for (const path of [one, page])
    for (const [tenant, there] of [['open', true], ['ruled', false]]) {
        const { text } = await city.get(path, { 'NGSILD-Tenant': tenant });
        if (text.includes('refDevice') !== there) throw new Error(`${tenant}: ${path}: the policy does not do its work`);
    }
pin(city, '0');

for (const [name, path] of [['GET entity by id', one], ['20-entity query', page]]) {
    const p50 = { open: [], ruled: [] }, cpu = { open: [], ruled: [] };
    for (let i = 0; i < (quick ? 1 : 5); i++)
        for (const tenant of ['open', 'ruled']) {
            const before = cpuTime(city);
            const run = wrk(city.url + path, { cpu: 1, connections: 10, seconds: quick ? 1 : 2, headers: { 'NGSILD-Tenant': tenant } });
            p50[tenant].push(run.p50);
            cpu[tenant].push((cpuTime(city) - before) / run.requests);
        }
    const open = median(p50.open), ruled = median(p50.ruled);
    report(`${name}, p50 with a policy that hides an attribute : without`, ruled / open, 1.1, 'max', `${format(ruled)} ms : ${format(open)} ms (10 clients)`);
    report('    processor time of the server', median(cpu.ruled) / median(cpu.open), 1.1, 'max', `${format(median(cpu.ruled))} us : ${format(median(cpu.open))} us`);
}
await city.stop();
