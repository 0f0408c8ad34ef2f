{# This column is empty exactly where `other` is: both come from the same rows, or from none. #}
{% test null_together(model, column_name, other) %}

select {{ column_name }}
from {{ model }}
where ({{ column_name }} is null) <> ({{ other }} is null)

{% endtest %}
