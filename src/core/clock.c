/* clock.c */
typedef int clock_empty;
