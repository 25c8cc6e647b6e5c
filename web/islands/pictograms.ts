// One sign for each kind of place: a disc with a white drawing, so that kinds differ by shape and
// not by colour alone.

interface Sign {
    colour: string;
    path: string; // strokes on a grid of 24 units
}

const signs: Record<string, Sign> = {
    EvacuationShelter: { colour: '#197a4b', path: 'M4.5 12 12 5.5l7.5 6.5M7 10.5V18h10v-7.5M12 18v-4.5' },
    AED: { colour: '#ce0000', path: 'M12 19s-7-4.4-7-9.2A3.9 3.9 0 0 1 12 7.4a3.9 3.9 0 0 1 7 2.4C19 14.6 12 19 12 19Z' },
    MedicalFacility: { colour: '#a90000', path: 'M12 6v12M6 12h12' },
    GtfsStop: { colour: '#0055ad', path: 'M7 6h10v9.5H7zM7 11h10M9 18v-2M15 18v-2' },
    Vehicle: { colour: '#0017c1', path: 'M5.5 7h13v8.5h-13zM5.5 11.5h13M8.5 18v-2M15.5 18v-2' },
    BikeHireDockingStation: {
        colour: '#006f83',
        path: 'M7.5 18a3 3 0 1 0 0-6 3 3 0 0 0 0 6ZM16.5 18a3 3 0 1 0 0-6 3 3 0 0 0 0 6ZM7.5 15l3-6h4l2 6M9.5 7.5h2',
    },
    OffStreetParking: { colour: '#00428c', path: 'M9.5 18.5v-13h3.5a3.8 3.8 0 0 1 0 7.6H9.5' },
    AirQualityObserved: { colour: '#5109ad', path: 'M5 9.5h8.5a2 2 0 1 0-2-2M5 13h12a2.2 2.2 0 1 1-2.2 2.2M5 16.5h6' },
    WeatherObserved: {
        colour: '#ac3e00',
        path: 'M12 15.5a3.5 3.5 0 1 0 0-7 3.5 3.5 0 0 0 0 7ZM12 4.5v1.5M12 18v1.5M4.5 12H6M18 12h1.5M6.7 6.7l1 1M16.3 16.3l1 1M6.7 17.3l1-1M16.3 7.7l1-1',
    },
    FloodMonitoring: { colour: '#0066be', path: 'M5 9.5q1.750-2 3.5 0t3.5 0 3.5 0 3.5 0M5 14.5q1.750-2 3.5 0t3.5 0 3.5 0 3.5 0' },
    NoiseLevelObserved: { colour: '#8b008b', path: 'M6 10v4h2.5l3.5 3V7L8.5 10ZM15 9.5q2 2.5 0 5M17 7.5q3.5 4.5 0 9' },
    WifiPointOfInterest: { colour: '#41048e', path: 'M5 10.5q7-6 14 0M7.5 13.5q4.5-4 9 0M10.2 16.2q1.8-1.6 3.6 0' },
    PublicToilet: { colour: '#316a9c', path: 'M8 7v11M8 10.5H6M8 10.5h2M16 7l-2.5 7h5ZM16 14v4' },
    PublicFacility: { colour: '#4d4d4d', path: 'M5 18h14M6.5 18v-8M10 18v-8M14 18v-8M17.5 18v-8M5 9.5 12 5.5l7 4Z' },
    Preschool: { colour: '#c000c0', path: 'M12 10.5a2.5 2.5 0 1 0 0-5 2.5 2.5 0 0 0 0 5ZM7 18q0-5.5 5-5.5t5 5.5' },
    Event: { colour: '#8b3200', path: 'M6 7.5h12v10.5H6zM6 11h12M9 5.5v3M15 5.5v3' },
};

const spare = ['#37474f', '#5d4037', '#4a148c', '#1b5e20', '#880e4f'];

function signOf(type: string): Sign {
    const known = signs[type];
    if (known) return known;
    let sum = 0;
    for (const c of type) sum = (sum * 31 + (c.codePointAt(0) ?? 0)) % 997;
    return { colour: spare[sum % spare.length] ?? '#37474f', path: 'M12 9a3 3 0 1 0 0 6 3 3 0 0 0 0-6Z' };
}

// Drawn at twice the size that it is shown in.
export function drawSign(type: string, size = 56): HTMLCanvasElement {
    const canvas = document.createElement('canvas');
    canvas.width = canvas.height = size;
    const pen = canvas.getContext('2d');
    if (!pen) return canvas;
    const sign = signOf(type);
    const middle = size / 2;
    pen.beginPath();
    pen.arc(middle, middle, middle - 2, 0, 2 * Math.PI);
    pen.fillStyle = '#ffffff';
    pen.fill();
    pen.beginPath();
    pen.arc(middle, middle, middle - 5, 0, 2 * Math.PI);
    pen.fillStyle = sign.colour;
    pen.fill();
    pen.translate(middle, middle);
    pen.scale(size / 34, size / 34);
    pen.translate(-12, -12);
    pen.strokeStyle = '#ffffff';
    pen.lineWidth = 1.9;
    pen.lineCap = pen.lineJoin = 'round';
    pen.stroke(new Path2D(sign.path));
    return canvas;
}
