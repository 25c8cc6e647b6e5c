/* arena.c */
typedef int arena_empty;
