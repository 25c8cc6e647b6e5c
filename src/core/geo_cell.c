/* geo_cell.c */
typedef int geo_cell_empty;
