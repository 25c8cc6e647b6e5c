/* regex.c */
typedef int regex_empty;
