/* map.c */
typedef int map_empty;
