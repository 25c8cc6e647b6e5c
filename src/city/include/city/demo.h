/*
 * demo.h - an invented, reproducible city: six districts with true public population figures,
 * shelters, AEDs, clinics, bus stops, share-cycle ports, and sensors that keep reporting.
 */
#ifndef CITY_DEMO_H
#define CITY_DEMO_H

#include "link/link.h"

/* Load the demo city into an empty store; does nothing when it is there already. */
enum err demo_load(struct link *l, struct error *e);

/* Keep the sensors reporting, buses and bicycles changing, until demo_stop(). Only when the store
 * holds the demo city; NULL otherwise. */
struct demo;
struct demo *demo_start(struct link *l);
void demo_stop(struct demo *d);

#endif
