/* text.c */
typedef int text_empty;
