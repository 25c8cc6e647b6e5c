// The map: our own vector tiles below, what changes this moment on top, a list of what is in view
// beside it for those who do not use a map with a pointer.
import maplibregl from 'maplibre-gl';
import type { FilterSpecification, LayerSpecification, StyleSpecification } from 'maplibre-gl';
import type { Feature, FeatureCollection, LineString, Point } from 'geojson';
import { drawSign } from './pictograms';
import { followChanges, type Change } from './live';

interface Settings {
    base: string;
    basemap: string;
    credit: string;
    clusterBelow: number;
    box?: [number, number, number, number];
    layers: { type: string; label: string }[];
    areas: { name: string; at: [number, number] }[];
    texts: Record<string, string>;
}

const GROUND = 'AdministrativeArea';
const LISTED = 40;
const OVERLAY_MAX = 500;
const PULSE_MS = 2500;
const RELOAD_MS = 20000;

const element = document.getElementById('map') as HTMLElement;
const settings = JSON.parse(element.dataset['settings'] ?? '{}') as Settings;
const text = (key: string): string => settings.texts[key] ?? key;
const labels = new Map(settings.layers.map((layer) => [layer.type, layer.label]));
const status = document.getElementById('map-status') as HTMLElement;
const panel = document.getElementById('panel') as HTMLElement;
const places = document.getElementById('places') as HTMLElement;
const placesNote = document.getElementById('places-note') as HTMLElement;
const calm = matchMedia('(prefers-reduced-motion: reduce)').matches;
const fonts = ['sans-serif'];

// --- style ---

function graticule(box: [number, number, number, number]): FeatureCollection<LineString> {
    const step = 0.05;
    const low = (v: number): number => Math.floor((v - 0.5) / step) * step;
    const features: Feature<LineString>[] = [];
    const line = (coordinates: [number, number][]): void => {
        features.push({ type: 'Feature', properties: {}, geometry: { type: 'LineString', coordinates } });
    };
    for (let x = low(box[0]); x <= box[2] + 0.5; x += step) line([[x, box[1] - 0.5], [x, box[3] + 0.5]]);
    for (let y = low(box[1]); y <= box[3] + 0.5; y += step) line([[box[0] - 0.5, y], [box[2] + 0.5, y]]);
    return { type: 'FeatureCollection', features };
}

const nothing: FeatureCollection = { type: 'FeatureCollection', features: [] };

function tiles(types: string[]): string {
    return `${location.origin}/tiles/${types.map(encodeURIComponent).join(',')}/{z}/{x}/{y}.mvt`;
}

function style(): StyleSpecification {
    const box = settings.box ?? [139.9, 35.9, 140.3, 36.3];
    const out: StyleSpecification = {
        version: 8,
        sources: {
            grid: { type: 'geojson', data: graticule(box) },
            live: { type: 'geojson', data: nothing },
            pulse: { type: 'geojson', data: nothing },
            chosen: { type: 'geojson', data: nothing },
            names: { type: 'geojson', data: { type: 'FeatureCollection', features: settings.areas.map(({ name, at }) => ({ type: 'Feature', properties: { name }, geometry: { type: 'Point', coordinates: at } })) } },
        },
        layers: [{ id: 'background', type: 'background', paint: { 'background-color': '#eef1f4' } }],
    };
    if (settings.basemap) {
        out.sources['basemap'] = { type: 'raster', tiles: [settings.basemap], tileSize: 256, attribution: settings.credit };
        out.layers.push({ id: 'basemap', type: 'raster', source: 'basemap' });
    } else {
        out.layers.push({ id: 'grid', type: 'line', source: 'grid', paint: { 'line-color': '#d9dfe5', 'line-width': 0.7 } });
    }
    if (labels.has(GROUND)) {
        out.sources['ground'] = { type: 'vector', tiles: [tiles([GROUND])], maxzoom: 16 };
        const base = { source: 'ground', 'source-layer': GROUND } as const;
        out.layers.push(
            { id: 'areas', type: 'fill', ...base, filter: ['==', ['geometry-type'], 'Polygon'], paint: { 'fill-color': '#ffffff', 'fill-opacity': settings.basemap ? 0.15 : 0.9 } },
            { id: 'borders', type: 'line', ...base, filter: ['==', ['geometry-type'], 'Polygon'], paint: { 'line-color': '#7c8ea3', 'line-width': 1.4 } },
        );
    }
    out.layers.push(
        {
            id: 'area-names', type: 'symbol', source: 'names',
            layout: { 'text-field': ['get', 'name'], 'text-font': fonts, 'text-size': 15, 'text-allow-overlap': true, 'text-ignore-placement': true },
            paint: { 'text-color': '#3d4c5c', 'text-halo-color': '#ffffff', 'text-halo-width': 2, 'text-opacity': ['step', ['zoom'], 1, 13, 0] },
        },
        { id: 'chosen', type: 'circle', source: 'chosen', paint: { 'circle-radius': 19, 'circle-color': '#ffd43d', 'circle-stroke-color': '#000000', 'circle-stroke-width': 3 } },
        { id: 'pulse', type: 'circle', source: 'pulse', paint: { 'circle-radius': 20, 'circle-color': '#0017c1', 'circle-opacity': 0.16, 'circle-stroke-color': '#0017c1', 'circle-stroke-width': 1.5, 'circle-stroke-opacity': 0.5 } },
        ...pointLayers('live', undefined),
    );
    return out;
}

// Open shelters wear a green ring, what is closed is faint.
function pointLayers(source: string, sourceLayer: string | undefined): LayerSpecification[] {
    const base = sourceLayer ? { source, 'source-layer': sourceLayer } : { source };
    const single: FilterSpecification = ['all', ['==', ['geometry-type'], 'Point'], ['!', ['has', 'count']]];
    return [
        {
            id: `${source}-open`, type: 'circle', ...base,
            filter: ['all', ['==', ['get', 'type'], 'EvacuationShelter'], ['==', ['get', 'status'], 'open'], ['!', ['has', 'count']]],
            paint: { 'circle-radius': 18, 'circle-color': '#71c598', 'circle-opacity': 0.75 },
        },
        {
            id: `${source}-points`, type: 'symbol', ...base, filter: single,
            layout: {
                'icon-image': ['concat', 'sign:', ['get', 'type']], 'icon-allow-overlap': true, 'icon-size': ['interpolate', ['linear'], ['zoom'], 10, 0.7, 15, 1],
                'text-field': ['step', ['zoom'], '', 15, ['coalesce', ['get', 'name'], '']], 'text-font': fonts, 'text-size': 12.5,
                'text-anchor': 'top', 'text-offset': [0, 1.2], 'text-optional': true, 'text-max-width': 9,
            },
            paint: {
                'icon-opacity': ['match', ['coalesce', ['get', 'status'], ''], ['closed', 'outOfService'], 0.45, 1],
                'text-color': '#1a1a1a', 'text-halo-color': '#ffffff', 'text-halo-width': 1.6,
            },
        },
    ];
}

function placeLayers(sourceLayer: string): LayerSpecification[] {
    const base = { source: 'places', 'source-layer': sourceLayer } as const;
    return [
        { id: 'places-lines', type: 'line', ...base, filter: ['==', ['geometry-type'], 'LineString'], layout: { 'line-join': 'round', 'line-cap': 'round' }, paint: { 'line-color': '#57b8ff', 'line-width': ['interpolate', ['linear'], ['zoom'], 9, 1.5, 15, 5], 'line-opacity': 0.75 } },
        { id: 'places-areas', type: 'fill', ...base, filter: ['==', ['geometry-type'], 'Polygon'], paint: { 'fill-color': '#c5d7fb', 'fill-opacity': 0.5, 'fill-outline-color': '#3460fb' } },
        { id: 'clusters', type: 'circle', ...base, filter: ['has', 'count'], paint: { 'circle-color': '#00118f', 'circle-radius': ['interpolate', ['linear'], ['sqrt', ['get', 'count']], 1, 13, 8, 24, 30, 34], 'circle-stroke-color': '#ffffff', 'circle-stroke-width': 2.5, 'circle-opacity': 0.92 } },
        { id: 'cluster-counts', type: 'symbol', ...base, filter: ['has', 'count'], layout: { 'text-field': ['to-string', ['get', 'count']], 'text-font': fonts, 'text-size': 14, 'text-allow-overlap': true, 'text-padding': 10 }, paint: { 'text-color': '#ffffff' } },
        ...pointLayers('places', sourceLayer),
    ];
}

// --- the map ---

function startPosition(): { center?: [number, number]; zoom?: number; bounds?: [number, number, number, number] } {
    const at = new URLSearchParams(location.search).get('at')?.split(',').map(Number);
    if (at && at.length >= 2 && at.every(Number.isFinite)) return { center: [at[0] as number, at[1] as number], zoom: at[2] ?? 15 };
    return settings.box ? { bounds: settings.box } : { center: [140.08, 36.08], zoom: 10 };
}


// Throws without WebGL; the lists beside the map stay, and the reader is told.
function createMap(): maplibregl.Map {
    try {
        return new maplibregl.Map({
            container: element,
            style: style(),
            ...startPosition(),
            fitBoundsOptions: { padding: 40 },
            maxZoom: 18.5,
            minZoom: 7,
            localIdeographFontFamily: getComputedStyle(document.documentElement).fontFamily,
            attributionControl: settings.credit ? { compact: true } : false,
            fadeDuration: calm ? 0 : 200,
            locale: {
                'NavigationControl.ZoomIn': text('zoomin'),
                'NavigationControl.ZoomOut': text('zoomout'),
                'NavigationControl.ResetBearing': text('north'),
                'Map.Title': text('title'),
            },
        });
    } catch (error) {
        status.textContent = text('failed');
        throw error;
    }
}

const map = createMap();
map.addControl(new maplibregl.NavigationControl({ showCompass: false }), 'top-right');
map.addControl(new maplibregl.ScaleControl({ maxWidth: 110 }), 'bottom-right');
map.on('styleimagemissing', (event) => {
    if (!event.id.startsWith('sign:') || map.hasImage(event.id)) return;
    const sign = drawSign(event.id.slice(5));
    const pen = sign.getContext('2d');
    if (pen) map.addImage(event.id, pen.getImageData(0, 0, sign.width, sign.height), { pixelRatio: 2 });
});
for (const dot of document.querySelectorAll<HTMLElement>('.dot')) dot.append(drawSign(dot.dataset['type'] ?? '', 48));

// --- layers that can be switched ---

const boxes = [...document.querySelectorAll<HTMLInputElement>('input[name="layer"]')];
const chosenTypes = (): string[] => boxes.filter((box) => box.checked).map((box) => box.value);
let version = 0;

function showPlaces(): void {
    for (const layer of map.getStyle().layers) if ('source' in layer && layer.source === 'places') map.removeLayer(layer.id);
    if (map.getSource('places')) map.removeSource('places');
    hiddenNow = '';
    const types = chosenTypes();
    if (types.length) {
        map.addSource('places', { type: 'vector', tiles: [`${tiles(types)}?v=${version}`], maxzoom: 16 });
        for (const layer of placeLayers(types.length === 1 ? (types[0] as string) : 'all')) map.addLayer(layer, 'pulse');
    }
    drawLive();
}

// --- what happens now ---

interface Moved {
    feature: Feature<Point>;
    type: string;
    lasting: boolean; // moves by itself: stays on top of the tiles
}

const overlay = new Map<string, Moved>();
const gone = new Set<string>();
const pulses = new Map<string, { at: number; feature: Feature<Point> }>();
let drawDue = false;
let hiddenNow = '';
let stale = false;

const geojson = (id: string): maplibregl.GeoJSONSource | undefined => map.getSource(id);

function drawLive(): void {
    const types = new Set(chosenTypes());
    const shown = [...overlay.values()].filter((item) => types.has(item.type));
    geojson('live')?.setData({ type: 'FeatureCollection', features: shown.map((item) => item.feature) });
    geojson('pulse')?.setData({ type: 'FeatureCollection', features: calm ? [] : [...pulses.values()].map((pulse) => pulse.feature) });
    const hidden = [...overlay.keys(), ...gone];
    // Another filter makes every tile be laid out again: only when there is another.
    if (!map.getLayer('places-points') || hidden.join(' ') === hiddenNow) return;
    hiddenNow = hidden.join(' ');
    const visible: FilterSpecification = ['all', ['==', ['geometry-type'], 'Point'], ['!', ['has', 'count']], ['!', ['in', ['coalesce', ['get', 'id'], ''], ['literal', hidden]]]];
    map.setFilter('places-points', visible);
}

function drawSoon(): void {
    if (drawDue) return;
    drawDue = true;
    setTimeout(() => {
        drawDue = false;
        for (const [id, pulse] of pulses) if (Date.now() - pulse.at > PULSE_MS) pulses.delete(id);
        drawLive();
        if (pulses.size) drawSoon();
    }, 250);
}

function onChange(change: Change): void {
    if (change.op === 'reset') {
        stale = true;
        return;
    }
    const visibly = change.op !== 'updated' || change.changed.some((name) => ['location', 'status', 'name', 'category'].includes(name));
    if (change.op === 'deleted') {
        overlay.delete(change.id);
        gone.add(change.id);
        stale = true;
    } else if (change.point) {
        const feature: Feature<Point> = {
            type: 'Feature',
            geometry: { type: 'Point', coordinates: change.point },
            properties: { id: change.id, type: change.type, name: change.name, status: change.status },
        };
        pulses.set(change.id, { at: Date.now(), feature });
        gone.delete(change.id);
        if (visibly || overlay.has(change.id)) {
            overlay.set(change.id, { feature, type: change.type, lasting: change.op === 'updated' && change.changed.includes('location') });
            stale ||= visibly;
        }
        if (overlay.size > OVERLAY_MAX) overlay.delete(overlay.keys().next().value as string);
    }
    if (change.id === selected) refreshPanel();
    element.dataset['changes'] = String(Number(element.dataset['changes'] ?? 0) + 1);
    drawSoon();
}

// Once in a while the tiles take over what the overlay showed.
setInterval(() => {
    if (!stale || document.hidden) return;
    stale = false;
    version++;
    for (const [id, item] of overlay) if (!item.lasting) overlay.delete(id);
    gone.clear();
    const source = map.getSource('places') as maplibregl.VectorTileSource | undefined;
    source?.setTiles([`${tiles(chosenTypes())}?v=${version}`]);
    drawSoon();
}, RELOAD_MS);

// --- one place ---

let selected = '';
let panelDue = false;

async function fillPanel(id: string, focus: boolean): Promise<void> {
    const answer = await fetch(`${settings.base}/e/${encodeURIComponent(id)}/panel`, { headers: { Accept: 'text/html' } });
    if (!answer.ok || selected !== id) return;
    if (!focus && panel.contains(document.activeElement)) return;
    panel.innerHTML = await answer.text();
    const close = document.createElement('button');
    close.type = 'button';
    close.className = 'map-panel-close';
    close.textContent = text('close');
    close.addEventListener('click', closePanel);
    panel.prepend(close);
    panel.hidden = false;
    if (focus) {
        panel.querySelector('h2')?.focus();
        panel.scrollIntoView({ block: 'nearest', behavior: calm ? 'auto' : 'smooth' });
    }
}

function closePanel(): void {
    selected = '';
    panel.hidden = true;
    geojson('chosen')?.setData(nothing);
    map.getCanvas().focus();
}

function refreshPanel(): void {
    if (panelDue) return;
    panelDue = true;
    setTimeout(() => {
        panelDue = false;
        if (selected) void fillPanel(selected, false);
    }, 700);
}

function select(id: string, at: [number, number] | undefined): void {
    selected = id;
    if (at) geojson('chosen')?.setData({ type: 'FeatureCollection', features: [{ type: 'Feature', properties: {}, geometry: { type: 'Point', coordinates: at } }] });
    void fillPanel(id, true);
}

panel.addEventListener('keydown', (event) => {
    if (event.key === 'Escape') closePanel();
});

function pointOf(feature: maplibregl.MapGeoJSONFeature): [number, number] | undefined {
    return feature.geometry.type === 'Point' ? (feature.geometry.coordinates as [number, number]) : undefined;
}

const clickable = (): string[] => ['live-points', 'places-points', 'clusters', 'places-lines', 'areas'].filter((id) => map.getLayer(id));

map.on('click', (event) => {
    const near = 6;
    const box: [maplibregl.PointLike, maplibregl.PointLike] = [[event.point.x - near, event.point.y - near], [event.point.x + near, event.point.y + near]];
    const hit = map.queryRenderedFeatures(box, { layers: clickable() })[0];
    if (!hit) return;
    if (hit.properties['count']) map.easeTo({ center: pointOf(hit) ?? event.lngLat, zoom: map.getZoom() + 2, animate: !calm });
    else if (hit.properties['id']) select(String(hit.properties['id']), pointOf(hit));
});
map.on('mousemove', (event) => {
    map.getCanvas().style.cursor = map.queryRenderedFeatures(event.point, { layers: clickable().filter((id) => id !== 'areas') }).length ? 'pointer' : '';
});

// --- the list of what is in view ---

function listPlaces(): void {
    const layers = ['live-points', 'places-points'].filter((id) => map.getLayer(id));
    const seen = new Map<string, maplibregl.MapGeoJSONFeature>();
    for (const feature of layers.length ? map.queryRenderedFeatures({ layers }) : []) {
        const id = String(feature.properties['id'] ?? '');
        if (id && !seen.has(id)) seen.set(id, feature);
    }
    const clusters = map.getLayer('clusters') ? map.queryRenderedFeatures({ layers: ['clusters'] }).length : 0;
    const list = places.querySelector('ul') as HTMLElement;
    if (list.contains(document.activeElement)) return;
    const items = [...seen.entries()].slice(0, LISTED).map(([id, feature]) => {
        const button = document.createElement('button');
        button.type = 'button';
        const name = document.createElement('span');
        name.textContent = String(feature.properties['name'] ?? '') || text('untitled');
        const kind = document.createElement('span');
        kind.className = 'small';
        kind.textContent = labels.get(String(feature.properties['type'])) ?? '';
        button.append(name, ' ', kind);
        button.addEventListener('click', () => select(id, pointOf(feature)));
        const item = document.createElement('li');
        item.append(button);
        return item;
    });
    list.replaceChildren(...items);
    places.hidden = false;
    placesNote.textContent = clusters || seen.size > LISTED ? text('more') : seen.size ? '' : text('nothing');
}

let listTimer: ReturnType<typeof setTimeout> | undefined;
function listSoon(): void {
    listTimer ??= setTimeout(() => {
        listTimer = undefined;
        listPlaces();
    }, 300);
}

// --- begin ---

status.textContent = text('loading');
map.on('load', () => {
    map.getCanvas().setAttribute('aria-label', text('title'));
    showPlaces();
    status.textContent = '';
    const id = new URLSearchParams(location.search).get('id');
    const centre = map.getCenter();
    if (id) select(id, [centre.lng, centre.lat]);
    if (labels.size) followChanges(
        [...labels.keys()],
        onChange,
        (connected) => {
            status.textContent = connected ? text('live') : text('offline');
        },
    );
    map.on('idle', () => {
        listSoon();
        element.dataset['ready'] = 'yes';
    });
});
map.on('error', (event) => {
    // No WebGL, or nothing at all could be drawn: the lists beside the map stay.
    if (!map.loaded() && !map.isStyleLoaded()) status.textContent = text('failed');
    console.warn(event.error?.message);
});
for (const box of boxes) box.addEventListener('change', () => showPlaces());
