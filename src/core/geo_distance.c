/* geo_distance.c */
typedef int geo_distance_empty;
