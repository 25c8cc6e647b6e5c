/* config.c */
typedef int config_empty;
