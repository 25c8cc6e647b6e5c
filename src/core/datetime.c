/* datetime.c */
typedef int datetime_empty;
